#!/usr/bin/env python3
"""Each public header compiles without a warning, alone and after C headers with the same names.

Usage: public_headers.py compiler... (the command with the flags of the build, as meson calls it)
Goal: a user may include any one header first. Method: one program for each header, -fsyntax-only.
"""
import concurrent.futures
import glob
import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE_DIRS = sorted(glob.glob(os.path.join(ROOT, "*", "include")))
HEADERS = sorted(os.path.relpath(path, folder) for folder in INCLUDE_DIRS
                 for path in glob.glob(folder + "/ramie/**/*.hpp", recursive=True))
FLAGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only",
         "-xc++", "-"] + [f"-I{folder}" for folder in INCLUDE_DIRS]
C_HEADERS = "#include <signal.h>\n#include <time.h>\n#include <sys/select.h>\n"
COMPILER = ["c++"]


def include_of(header):
    return f"#include <{header}>\n"


def compile_errors(headers, *flags):
    """Returns the compiler's errors for a program with these includes."""
    program = "".join(headers) + "int main() {}\n"
    run = subprocess.run([*COMPILER, "-std=c++23", *FLAGS, *flags], input=program, check=False,
                         capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    return f"{headers[-1]}{run.stderr}" if run.returncode else ""


class PublicHeaders(unittest.TestCase):
    def test_each_compiles_alone_and_twice(self):
        self.assertTrue(HEADERS, "no public header found")
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = pool.map(lambda header: compile_errors([include_of(header)] * 2), HEADERS)
        self.assertEqual("", "\n".join(filter(None, errors)))

    def test_all_compile_after_the_c_headers_of_the_same_names(self):
        self.assertEqual("", compile_errors([C_HEADERS, *map(include_of, HEADERS)]))

    def errors_are(self, flags, sentence, fatal):
        """Each header has just this error, and the one that ends the compilation."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            texts = pool.map(
                lambda header: compile_errors([include_of(header)], *flags), HEADERS)
        for header, text in zip(HEADERS, texts):
            errors = [line for line in text.splitlines() if "error:" in line]
            self.assertEqual(len(errors), 2, f"{header} with {flags}: {text}")
            self.assertIn(sentence, errors[0])
            self.assertIn("fatal error: ", errors[1])
            self.assertIn(fatal, errors[1])

    def test_an_older_standard_is_one_sentence(self):
        sentence = "Ramie needs C++23: compile with -std=c++23, as pkg-config --cflags ramie says"
        for standard in ("-std=c++17", "-std=c++20"):
            self.errors_are([standard], sentence, "compile with -std=c++23")

    def test_no_exceptions_is_one_sentence(self):
        self.errors_are(["-fno-exceptions"], "Ramie needs exceptions: ",
                        "compile without -fno-exceptions")


if __name__ == "__main__":
    COMPILER = sys.argv[1:] or COMPILER
    unittest.main(argv=sys.argv[:1])
