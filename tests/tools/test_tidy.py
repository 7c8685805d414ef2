"""tidy.py: each rule finds its planted violation and leaves the lawful neighbour alone."""
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import sources  # noqa: E402
import tidy  # noqa: E402


def check(path, text):
    """The (line, rule) pairs that tidy finds in a tree with this one file."""
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)
        return sorted((line, rule) for _, line, rule, _ in tidy.check_tree(root))


def lines_of(head, count, tail="}\n"):
    return head + "  step();\n" * count + tail


class Shape(unittest.TestCase):
    def test_a_lawful_file_passes(self):
        self.assertEqual(check("sched/a.cpp", "// Says why.\nint f() { return 1; }\n"), [])

    def test_a_file_opens_with_a_comment(self):
        self.assertEqual(check("io/a.hpp", "#pragma once\n"), [(1, "opening-comment")])
        self.assertEqual(check("tools/a.py", "import os\n"), [(1, "opening-comment")])
        self.assertEqual(check("dev", "#!/bin/sh\nset -e\n"), [(1, "opening-comment")])
        self.assertEqual(check(".ci/run", "#!/bin/sh\n# Runs.\n"), [])

    def test_a_file_has_at_most_500_lines(self):
        self.assertEqual(check("io/a.hpp", "// X.\n" + "int a;\n" * 499), [])
        self.assertEqual(check("io/a.hpp", "// X.\n" + "int a;\n" * 500), [(501, "file-length")])
        self.assertEqual(check("tools/a.py", "# X.\n" + "a = 1\n" * 500), [(501, "file-length")])

    def test_a_line_has_at_most_100_columns(self):
        self.assertEqual(check("io/a.hpp", "// " + "x" * 97 + "\n"), [])
        self.assertEqual(check("io/a.hpp", "// X.\n// " + "x" * 98 + "\n"), [(2, "line-length")])

    def test_columns_are_characters_not_bytes(self):
        self.assertEqual(check("io/a.hpp", "// " + "é" * 97 + "\n"), [])

    def test_tabs_and_trailing_blanks(self):
        self.assertEqual(check("io/a.hpp", "// X.\n\tint a;\n"), [(2, "tab")])
        self.assertEqual(check("io/a.hpp", "// X.\nint a; \n"), [(2, "trailing-blank")])
        self.assertEqual(check("bench/meson.build", "# X.\nfoo() \n"), [(2, "trailing-blank")])

    def test_marks_of_unfinished_work(self):
        for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX"):
            self.assertEqual(check("io/a.hpp", f"// X.\n// {word}: later\n"), [(2, "unfinished")])
        self.assertEqual(check("io/a.hpp", '// X.\nauto t = "/tmp/' + "X" * 6 + '";\n'), [])

    def test_builds_and_hidden_folders_are_not_read(self):
        self.assertEqual(check("build/release/a.cpp", "int a;\n"), [])
        self.assertEqual(check(".cache/a.cpp", "int a;\n"), [])


class FunctionLength(unittest.TestCase):
    def check_head(self, head, tail="}\n"):
        """A function of 70 lines passes, one of 71 is found at its first line."""
        self.assertEqual(check("tests/a.cpp", "// X.\n" + lines_of(head, 68, tail)), [])
        self.assertEqual(check("tests/a.cpp", "// X.\n" + lines_of(head, 69, tail)),
                         [(2, "function-length")])

    def test_free_functions(self):
        self.check_head("void f() {\n")
        self.check_head("auto f(int a = (1)) noexcept -> std::vector<int> {\n")
        self.check_head("struct X* f(const struct Y* y) {\n")
        self.check_head("bool operator==(const A& a, const B& b) {\n")

    def test_test_cases(self):
        self.check_head('TEST_CASE("F1: a brace } or ( in a name", "[sched]") {\n')

    def test_members_and_namespaces_around(self):
        inside = lines_of("void f() const override {\n", 69)
        self.assertEqual(check("tests/a.cpp", "// X.\nnamespace a {\nclass alignas(64) B {\n"
                               " public:\n" + inside + "};\n}\n"), [(5, "function-length")])

    def test_constructors_with_member_initializers(self):
        self.check_head("A::A(int x) : a_{x}, b_{2} {\n")
        self.assertEqual(check("tests/a.cpp", "// X.\n" + lines_of(
            "A::A(int x)\n    : a_{x},\n      b_(2) {\n", 67)), [(2, "function-length")])

    def test_blocks_within_a_function_count_once(self):
        body = "  if (a) {\n    b();\n  } else {\n    c([] {\n    });\n  }\n" * 12
        self.assertEqual(check("tests/a.cpp", "// X.\nvoid f() {\n" + body + "}\n"),
                         [(2, "function-length")])

    def test_types_and_tables_are_not_functions(self):
        table = "constexpr std::array<Row, 2> kRows = make({\n" + "  {1, f()},\n" * 80 + "});\n"
        self.assertEqual(check("tests/a.cpp", "// X.\n" + table), [])
        table = "constexpr Row kRows[size(1)] = {\n" + "  {1, f()},\n" * 80 + "};\n"
        self.assertEqual(check("tests/a.cpp", "// X.\n" + table), [])
        struct = "struct [[gnu::packed]] alignas(8) A {\n" + "  int a();\n" * 80 + "};\n"
        self.assertEqual(check("tests/a.cpp", "// X.\n" + struct), [])

    def test_comments_and_strings_do_not_confuse_the_braces(self):
        noise = "// X.\n/* { */ const char* a = \"{\"; char b = '{'; int c = 1'000;\n"
        noise += 'auto d = R"x({ " ( )x";\n'
        self.assertEqual(check("tests/a.cpp", noise + lines_of("void f() {\n", 69)),
                         [(4, "function-length")])

    def test_macros_are_not_functions(self):
        macro = "#define RAMIE_X(a) \\\n  do { \\\n" + "    f(a); \\\n" * 80 + "  } while (0)\n"
        self.assertEqual(check("tests/a.cpp", "// X.\n" + macro), [])

    def test_python_functions(self):
        body = "    pass\n"
        self.assertEqual(check("tools/a.py", "# X.\ndef f():\n" + body * 69), [])
        self.assertEqual(check("tools/a.py", "# X.\ndef f():\n" + body * 70),
                         [(2, "function-length")])


class Owners(unittest.TestCase):
    PLANTED = [
        ("boost", "#include <boost/context/detail/fcontext.hpp>", "sched/context.cpp"),
        ("boost", "auto t = boost::context::detail::jump_fcontext(a, b);", "sched/context.cpp"),
        ("moodycamel", "#include <concurrentqueue/concurrentqueue.h>", "sched/injector.cpp"),
        ("moodycamel", "#include <concurrentqueue/concurrentqueue.h>", "sched/injector.hpp"),
        ("epoll", "#include <sys/epoll.h>", "io/sys/epoll.cpp"),
        ("epoll", "auto n = epoll_pwait2(a, b, c, d, e);", "io/sys/epoll.cpp"),
        ("epoll", "auto n = EPOLLIN;", "io/sys/epoll.hpp"),
        ("liburing", "#include <liburing.h>", "uring/ring.hpp"),
        ("liburing", "io_uring_sqe* sqe;", "uring/ring.cpp"),
        ("environment", 'auto v = secure_getenv("A");', "runtime/config.cpp"),
        ("environment", 'auto v = std::getenv("A");', "runtime/config.cpp"),
        ("thread-local", "thread_local int a;", "sched/current.cpp"),
        ("exception-state", "auto g = abi::__cxa_get_globals();", "sched/context.cpp"),
        ("sanitizer", "#include <sanitizer/tsan_interface.h>", "sched/base/annotate.hpp"),
        ("sanitizer", "__tsan_release(p);", "sched/context.cpp"),
        ("sanitizer", "VALGRIND_STACK_REGISTER(a, b);", "sched/context.cpp"),
        ("errno", "int e = errno;", "sched/base/sys.cpp"),
        ("errno", "int e = errno;", "runtime/net/sys/socket.cpp"),
        ("syscall", "auto r = syscall(SYS_futex, w);", "sched/base/sys.cpp"),
        ("syscall", "auto n = ::read(fd, p, 1);", "runtime/net/sys/socket.cpp"),
        ("sigaction", "struct sigaction action{};", "signal/handlers.cpp"),
        ("sigaction", "std::signal(2, handler);", "sched/stack_overflow.cpp"),
    ]

    def test_each_dangerous_thing_has_one_owner(self):
        for rule, code, owner in self.PLANTED:
            text = f"// X.\n\n{code}\n"
            with self.subTest(code=code):
                self.assertEqual(check(owner, text), [])
                for stranger in ("sched/worker.cpp", "runtime/builder.cpp", "io/driver.hpp"):
                    self.assertEqual(check(stranger, text), [(3, rule)])

    def test_programs_around_the_library_are_free(self):
        for rule, code, _ in self.PLANTED:
            for free in ("tests/a.cpp", "bench/a.cpp", "tools/demo/a.cpp", "docs/examples/a.cpp"):
                with self.subTest(code=code, path=free):
                    self.assertEqual(check(free, f"// X.\n{code}\n"), [])

    def test_comments_and_strings_are_not_code(self):
        text = "// errno, boost::x, ::read(\n/* epoll_ctl(\n   EPOLLIN */\n"
        text += 'auto a = "thread_local";\n'
        self.assertEqual(check("sched/worker.cpp", text), [])

    def test_our_own_names_are_not_system_calls(self):
        text = "// X.\nvoid f() { sys::read(a); b.read(c); TcpStream::connect(d); close(e); }\n"
        self.assertEqual(check("runtime/net/tcp.cpp", text), [])


class Mutants(unittest.TestCase):
    def test_no_bug_is_planted_outside_the_tests(self):
        text = "// X.\nbool f() { return RAMIE_MUTANT(1); }\nbool g() { return is_mutant(2); }\n"
        for path in ("sched/a.cpp", "io/include/ramie/a.hpp", "tools/a.cpp"):
            self.assertEqual(check(path, text), [(2, "mutant"), (3, "mutant")])
        self.assertEqual(check("tests/model/a_model.cpp", text), [])
        self.assertEqual(check("sched/a.cpp", "// Mutants of it: tests/model.\nint a;\n"), [])


class CommandLine(unittest.TestCase):
    def run_tool(self, root):
        return subprocess.run([sys.executable, os.path.join(ROOT, "tools", "tidy.py"), root],
                              capture_output=True, text=True, check=False)

    def test_it_names_file_line_and_rule_and_fails(self):
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(os.path.join(root, "io"))
            with open(os.path.join(root, "io", "a.hpp"), "w", encoding="utf-8") as file:
                file.write(textwrap.dedent("""\
                    // X.
                    int a = errno;
                    """))
            run = self.run_tool(root)
            self.assertEqual(run.returncode, 1)
            self.assertRegex(run.stdout, r"^io/a\.hpp:2: errno: .*")

    def test_an_empty_tree_is_tidy(self):
        with tempfile.TemporaryDirectory() as root:
            run = self.run_tool(root)
            self.assertEqual((run.returncode, run.stdout), (0, ""))


class CodeOnly(unittest.TestCase):
    def test_line_numbers_stay(self):
        text = 'a /* b\nc */ "d" R"(e\nf)" // g\nh'
        self.assertEqual(sources.code_only(text).split("\n"), ["a ", ' "" ""', " ", "h"])


if __name__ == "__main__":
    unittest.main()
