"""tls_lint.py: finds a planted violation, also through a caller, and leaves lawful code alone."""
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import tls_lint  # noqa: E402

HEAD = """
#include <cerrno>
#include <pthread.h>
namespace ramie { inline namespace v0 { namespace sched {
struct FiberContext;
void switch_out(FiberContext&) noexcept;
[[gnu::noinline]] void park(FiberContext& fiber) { switch_out(fiber); asm volatile(""); }
}}}
using namespace ramie::sched;
extern thread_local int counter;
int work();
"""


def lint(code, level="-O2"):
    """(exit status, text) of a lint over one object with this code."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "planted.o")
        subprocess.run(["g++", "-std=c++23", level, "-fPIC", "-x", "c++", "-", "-c", "-o", path],
                       input=HEAD + textwrap.dedent(code), text=True, check=True)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = tls_lint.main([path])
        return status, out.getvalue()


class TlsLint(unittest.TestCase):
    def assert_found(self, code, function, reason):
        for level in ("-O0", "-O2"):
            status, text = lint(code, level)
            self.assertEqual(status, 1, text)
            self.assertIn(f"{function}: materialises {reason}", text)

    def test_errno_in_a_retry_loop_is_found(self):
        self.assert_found("""
            int retry(FiberContext& fiber) {
              while (work() < 0 && errno == EAGAIN) switch_out(fiber);
              return errno;
            }""", "retry(ramie::v0::sched::FiberContext&)", "__errno_location")

    def test_a_function_that_suspends_through_others_is_found(self):
        self.assert_found("""
            [[gnu::noinline]] void between(FiberContext& fiber) { park(fiber); asm volatile(""); }
            void use(pthread_t);
            void moved(FiberContext& fiber) {
              use(pthread_self());
              between(fiber);
              use(pthread_self());
            }""", "moved(ramie::v0::sched::FiberContext&)", "pthread_self")

    def test_the_address_of_a_thread_local_is_found(self):
        status, text = lint("""
            static thread_local int local;
            void use(int*);
            void two(FiberContext& fiber) { use(&local); park(fiber); use(&local); }
            """)
        self.assertEqual(status, 1, text)
        self.assertIn("two(ramie::v0::sched::FiberContext&): materialises", text)

    def test_the_cure_passes(self):
        status, text = lint("""
            [[gnu::noinline]] int call() { return work() < 0 ? -errno : 0; }
            int retry(FiberContext& fiber) {
              int n = 0;
              while ((n = call()) == -EAGAIN) park(fiber);
              return n;
            }""")
        self.assertEqual(status, 0, text)
        self.assertIn(" 0 at fault", text)

    def test_every_thread_local_counts_on_aarch64(self):
        def guilty(*lines):
            functions = tls_lint.read("a.o:     file format elf64-littleaarch64\n"
                                      "0000000000000000 <_Z3onev>:\n" + "\n".join(lines))
            through = tls_lint.suspending(functions)
            return [name for name in through if name in functions and functions[name].materialises]
        park = ["   8:\tbl\t0 <_ZN5ramie2v05sched10switch_outERNS1_12FiberContextE>",
                "\t\t\t8: R_AARCH64_CALL26\t_ZN5ramie2v05sched10switch_outERNS1_12FiberContextE"]
        self.assertEqual(guilty("   0:\tmrs\tx19, tpidr_el0", *park), ["_Z3onev"])
        self.assertEqual(guilty("   0:\tbl\t0 <_Z3onev>",
                                "\t\t\t0: R_AARCH64_CALL26\t__errno_location", *park), ["_Z3onev"])
        self.assertEqual(guilty("   0:\tadrp\tx0, 0 <_Z3onev>",
                                "\t\t\t0: R_AARCH64_TLSDESC_ADR_PAGE21\tcounter", *park),
                         ["_Z3onev"])
        self.assertEqual(guilty("   0:\tmrs\tx0, fpcr", *park), [])
        for jump in ("b", "b.ne", "cbz\tw0,", "tbnz\tw0, #3,"):  # to a part of another function
            functions = tls_lint.read(
                "a.o:     file format elf64-littleaarch64\n0000000000000000 <_Z3onev>:\n"
                f"   0:\tmrs\tx19, tpidr_el0\n   4:\t{jump}\t40 <_Z3twov>\n"
                "0000000000000040 <_Z3twov>:\n" + park[0])
            self.assertIn("_Z3onev", tls_lint.suspending(functions), jump)

    def test_functions_of_one_name_in_two_files_are_kept_apart(self):
        local = "_ZN12_GLOBAL__N_13oneEv"
        text = textwrap.dedent(f"""
            a.o:     file format elf64-x86-64
            0000000000000000 <{local}>:
               0:\tcall   5 <_ZN5ramie2v05sched10switch_outERNS1_12FiberContextE>
            b.o:     file format elf64-x86-64
            0000000000000000 <{local}>:
               0:\tmov    %fs:0x0,%rax
            """)
        functions = tls_lint.read(text)
        through = tls_lint.suspending(functions)
        self.assertEqual([n for n in through if n in functions and functions[n].materialises], [])
        self.assertEqual(len(functions), 2)

    def test_an_archive_without_a_switch_is_the_wrong_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "empty.o")
            subprocess.run(["g++", "-x", "c++", "-", "-c", "-o", path], text=True, check=True,
                           input="int one() { return 1; }")
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(tls_lint.main([path]), 1)


if __name__ == "__main__":
    unittest.main()
