"""layers.py: each forbidden include is found, each lawful one passes."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import layers  # noqa: E402

# A tree with one private and one public header per folder.
HOUSE = [
    "sched/base/atomic.hpp", "sched/worker.hpp", "sched/include/ramie/api.hpp",
    "sched/include/ramie/task.hpp", "io/driver.hpp", "io/sys/epoll.hpp",
    "io/include/ramie/io.hpp", "signal/handlers.hpp", "signal/include/ramie/signal.hpp",
    "uring/ring.hpp", "uring/include/ramie/uring.hpp",
    "runtime/net/sys/socket.hpp", "runtime/include/ramie/net.hpp",
    "runtime/include/ramie/net/addr.hpp", "runtime/fs/calls.hpp", "runtime/include/ramie/fs.hpp",
    "runtime/config.hpp", "runtime/include/ramie/ramie.hpp",
    "tests/support/mock.hpp", "tests/model/atomic.hpp",
    "tools/demo/store.hpp", "bench/timing.hpp",
]


def plant(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8") as file:
        file.write(text)


def check(path, *included):
    """The (line, rule) pairs for a file with these includes, one a line, in a whole house."""
    with tempfile.TemporaryDirectory() as root:
        for header in HOUSE:
            plant(root, header, "// X.\n#pragma once\n")
        plant(root, path, "".join(f"#include {name}\n" for name in included))
        return sorted((line, rule) for _, line, rule, _ in layers.check_tree(root))


class Layers(unittest.TestCase):
    ORDER = ["sched/worker.hpp", "io/driver.hpp", "uring/ring.hpp", "runtime/net/sys/socket.hpp",
             "runtime/config.hpp"]
    PUBLIC = ["ramie/task.hpp", "ramie/io.hpp", "ramie/uring.hpp", "ramie/net.hpp",
              "ramie/ramie.hpp"]

    def test_a_folder_includes_itself_and_lower_ones_only(self):
        for here, header in enumerate(self.ORDER):
            path = layers.layer_of(header) + "/subject.cpp"
            for there in range(len(self.ORDER)):
                expected = [] if there <= here else [(1, "layer")]
                with self.subTest(path=path, included=self.ORDER[there]):
                    self.assertEqual(check(path, f'"{self.ORDER[there]}"'), expected)
                    self.assertEqual(check(path, f"<{self.PUBLIC[there]}>"), expected)

    def test_signal_and_uring_never_see_each_other(self):
        self.assertEqual(check("signal/a.cpp", '"uring/ring.hpp"'), [(1, "layer")])
        self.assertEqual(check("uring/a.cpp", '"signal/handlers.hpp"'), [(1, "layer")])
        self.assertEqual(check("uring/a.cpp", "<ramie/signal.hpp>"), [(1, "layer")])
        self.assertEqual(check("uring/a.cpp", '"io/driver.hpp"', '"sched/worker.hpp"'), [])

    def test_net_and_fs_see_public_headers_of_each_other(self):
        self.assertEqual(check("runtime/net/a.cpp", "<ramie/fs.hpp>", '"uring/ring.hpp"'), [])
        self.assertEqual(check("runtime/fs/a.cpp", "<ramie/net/addr.hpp>"), [])
        self.assertEqual(check("runtime/net/a.cpp", '"runtime/fs/calls.hpp"'), [(1, "layer")])
        self.assertEqual(check("runtime/fs/a.cpp", '"runtime/net/sys/socket.hpp"'), [(1, "layer")])

    def test_nothing_in_net_and_fs_sees_the_rest_of_runtime(self):
        for path in ("runtime/net/a.cpp", "runtime/fs/sys/a.cpp",
                     "runtime/include/ramie/net/a.hpp", "runtime/include/ramie/fs.hpp"):
            self.assertEqual(check(path, "<ramie/ramie.hpp>"), [(1, "layer")])
        self.assertEqual(check("runtime/net/a.cpp", '"runtime/config.hpp"'), [(1, "layer")])

    def test_nothing_in_the_library_includes_the_programs_around_it(self):
        for header in ("tests/support/mock.hpp", "tools/demo/store.hpp", "bench/timing.hpp"):
            self.assertEqual(check("runtime/a.cpp", f'"{header}"'), [(1, "layer")])

    def test_the_programs_around_it_include_anything(self):
        for path in ("tests/a.cpp", "tools/a.cpp", "bench/a.cpp", "docs/examples/a.cpp"):
            self.assertEqual(check(path, '"runtime/config.hpp"', "<boost/a.hpp>"), [])

    def test_an_include_beside_the_file_counts_for_its_folder(self):
        self.assertEqual(check("io/sys/a.cpp", '"epoll.hpp"', '"../driver.hpp"'), [])
        self.assertEqual(check("io/sys/a.cpp", '"../../runtime/config.hpp"'), [(1, "layer")])

    def test_what_cannot_be_found_is_named(self):
        self.assertEqual(check("io/a.cpp", '"io/none.hpp"'), [(1, "unknown")])
        self.assertEqual(check("io/a.cpp", "<vector>", "<ramie/none.hpp>"), [(2, "unknown")])


class Base(unittest.TestCase):
    def test_the_bottom_sees_std_libc_and_fmt(self):
        self.assertEqual(check("sched/base/a.cpp", '"sched/base/atomic.hpp"', '"atomic.hpp"',
                               "<vector>", "<unistd.h>", "<sys/mman.h>", "<linux/futex.h>",
                               "<fmt/format.h>", "<ramie/api.hpp>"), [])

    def test_it_sees_nothing_else(self):
        for name in ('"sched/worker.hpp"', "<ramie/task.hpp>", "<boost/a.hpp>", "<liburing.h>",
                     "<concurrentqueue/concurrentqueue.h>"):
            with self.subTest(included=name):
                self.assertEqual(check("sched/base/a.cpp", name), [(1, "base")])

    def test_only_the_seam_of_the_model_checker_looks_up(self):
        self.assertEqual(check("sched/base/atomic.hpp", '"tests/model/atomic.hpp"'), [])
        self.assertEqual(check("sched/include/ramie/detail/atomic.hpp",
                               '"tests/model/atomic.hpp"'), [])
        self.assertEqual(check("sched/worker.hpp", '"tests/model/atomic.hpp"'), [(1, "layer")])
        self.assertEqual(check("sched/include/ramie/task.hpp", '"tests/model/atomic.hpp"'),
                         [(1, "layer"), (1, "public")])


class Public(unittest.TestCase):
    def test_a_public_header_shows_no_library_and_no_private_header(self):
        for name in ("<boost/a.hpp>", "<liburing.h>", "<concurrentqueue/concurrentqueue.h>",
                     "<fmt/format.h>", "<sys/epoll.h>", '"io/driver.hpp"'):
            with self.subTest(included=name):
                self.assertEqual(check("io/include/ramie/a.hpp", name), [(1, "public")])

    def test_it_may_include_std_and_lower_public_headers(self):
        self.assertEqual(check("io/include/ramie/a.hpp", "<span>", "<ramie/task.hpp>"), [])

    def test_private_files_may_include_the_libraries(self):
        self.assertEqual(check("io/a.cpp", "<fmt/format.h>"), [])


class CommandLine(unittest.TestCase):
    def test_it_names_file_line_and_rule_and_fails(self):
        with tempfile.TemporaryDirectory() as root:
            plant(root, "runtime/config.hpp", "// X.\n")
            plant(root, "io/a.cpp", '// X.\n#include "runtime/config.hpp"\n')
            tool = os.path.join(ROOT, "tools", "layers.py")
            run = subprocess.run([sys.executable, tool, root], capture_output=True, text=True,
                                 check=False)
            self.assertEqual(run.returncode, 1)
            self.assertRegex(run.stdout, r"^io/a\.cpp:2: layer: io includes runtime/config\.hpp")


if __name__ == "__main__":
    unittest.main()
