#!/usr/bin/env python3
"""A call with wrong arguments gets an error of one sentence, and a right call compiles.

Usage: misuse.py compiler... (the command with the flags of the build, as meson calls it)
Goal: a user who forgets std::move() reads what to do, not pages of templates. Method: snippets that
must not compile; each has exactly one error, whose text is our sentence. Beside them are snippets
that must compile, so that no sentence refuses right code.
"""
import glob
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE_DIRS = sorted(glob.glob(os.path.join(ROOT, "*", "include")))
FLAGS = ["-std=c++23", "-Wall", "-Wextra", "-fsyntax-only", "-xc++",
         "-"] + [f"-I{folder}" for folder in INCLUDE_DIRS]
COMPILER = ["c++"]

PROGRAM = """
#include <ramie/ramie.hpp>
#include <memory>
#include <string>
using namespace std::chrono_literals;
struct MoveOnly {
  MoveOnly() = default;
  MoveOnly(MoveOnly&&) = default;
  void operator()() const {}
};
struct Fixed { Fixed() = default; Fixed(Fixed&&) = delete; };
void session(ramie::net::TcpStream) {}
void change(int&) {}
int& reference() { static int value = 0; return value; }
Fixed fixed() { return {}; }
void program(ramie::Scope& scope, ramie::net::TcpStream& stream, ramie::SpawnOptions& options,
             const ramie::runtime::Handle& handle, const ramie::runtime::Runtime& runtime) {
  (void)scope, (void)stream, (void)options, (void)handle, (void)runtime;
  MoveOnly closure;
  int number = 1;
  const ramie::SpawnOptions constant_options;
  (void)closure, (void)number, (void)constant_options;
  %s
}
"""

MOVE_ARGUMENT = "an argument can only be moved into the fiber: pass it with std::move()"
MOVE_FUNCTION = "the function object can only be moved: pass it with std::move()"
NO_CALL = "function(arguments...) does not compile"
NO_PARAMETERS = "pass a function without parameters"
REFERENCE = "the function returns a reference"
SPAWNS = ["scope.spawn(%s)", "scope.spawn(options, %s)", "scope.spawn({.name = \"x\"}, %s)",
          "ramie::spawn(%s)", "ramie::spawn(options, %s)", "ramie::spawn({.name = \"x\"}, %s)",
          "ramie::spawn_blocking(%s)", "ramie::spawn_blocking(options, %s)", "handle.spawn(%s)",
          "handle.spawn(options, %s)", "handle.spawn_blocking(%s)",
          "handle.spawn_blocking(options, %s)", "runtime.spawn(%s)", "runtime.spawn(options, %s)"]

# Statement and sentence. Each has its own types: a template reports the same types only once.
WRONG = [(spawn % "[](ramie::net::TcpStream) {}, stream", MOVE_ARGUMENT) for spawn in SPAWNS] + [
    ("scope.spawn(session, 1)", NO_CALL),
    ("scope.spawn(session)", NO_CALL),
    ("ramie::spawn(options, change, number)", NO_CALL),
    ("ramie::spawn(1)", NO_CALL),
    ("ramie::spawn(closure)", MOVE_FUNCTION),
    ("ramie::spawn(reference)", REFERENCE),
    ("ramie::spawn(fixed)", "the function's result must be movable"),
    ("ramie::timeout(1s, stream.readable())", NO_PARAMETERS),
    ("ramie::timeout(1s, [](int) {})", NO_PARAMETERS),
    ("ramie::timeout(1s, [&]() -> int& { return number; })", REFERENCE),
    ("ramie::timeout(5, [] {})", "say the unit"),
    ("ramie::sleep_for(5)", "say the unit"),
    ("ramie::timeout_at(std::chrono::steady_clock::now(), 1)", NO_PARAMETERS),
    ("ramie::until(ramie::CancellationToken(), stream.local_addr())", NO_PARAMETERS),
    ("ramie::block_on([](int) {})", NO_PARAMETERS),
    ("handle.block_on([](int) {})", NO_PARAMETERS),
    ("runtime.block_on(1)", NO_PARAMETERS),
    ("ramie::scope([] {})", "pass a function that takes a Scope&"),
    ("ramie::scope(ramie::on_failure::report, [](int) {})", "pass a function that takes a Scope&"),
]
RIGHT = [spawn % "session, std::move(stream)" for spawn in SPAWNS] + [
    "ramie::spawn(constant_options, [] {})",
    "scope.spawn(constant_options, [] {})",
    "scope.spawn(std::move(options), [] {})",
    "ramie::spawn(change, std::ref(number))",
    "ramie::spawn(std::move(closure))",
    "scope.spawn([](int n, std::string) { return n; }, 1, \"text\")",
    "ramie::spawn([&number]() -> ramie::Result<int> { return number; })",
    "ramie::spawn(&std::string::size, std::string(\"x\"))",
    "ramie::timeout(1s, [&] { return stream.readable(); })",
    "ramie::timeout(1s, [&] { return number; })",
    "ramie::timeout(1s, [&] {})",
    "ramie::until(ramie::CancellationToken(), [&] { return std::make_unique<int>(1); })",
    "ramie::block_on([] { return 1; })",
    "handle.block_on(closure)",
    "ramie::scope([&](ramie::Scope& s) { (void)s.spawn([] {}); return 1; })",
    "ramie::scope(ramie::on_failure::report, [](ramie::Scope&) {})",
]


def errors_of(statements):
    """Returns the errors of a program with these statements, without notes and warnings."""
    program = PROGRAM % "\n  ".join(f"(void){statement};" for statement in statements)
    version = subprocess.run(COMPILER + ["--version"], capture_output=True, text=True, check=True)
    no_limit = ["-ferror-limit=0"] if "clang" in version.stdout else []
    run = subprocess.run(COMPILER + FLAGS + no_limit, input=program, capture_output=True,
                         text=True, check=False)
    errors = re.findall(r"^.*\berror: .*$", run.stderr, re.MULTILINE)
    return errors if errors or run.returncode == 0 else [run.stderr]


class Misuse(unittest.TestCase):
    def test_each_wrong_call_is_answered_by_one_sentence(self):
        errors = errors_of([statement for statement, _ in WRONG])
        sentences = {sentence for _, sentence in WRONG}
        strange = [error for error in errors if not any(one in error for one in sentences)]
        self.assertEqual(strange, [], "\n".join(strange))
        for sentence in sorted(sentences):
            calls = [statement for statement, its in WRONG if its == sentence]
            self.assertEqual(sum(sentence in error for error in errors), len(calls),
                             f"'{sentence}' is the answer to:\n" + "\n".join(calls))

    def test_what_is_right_compiles(self):
        errors = errors_of(RIGHT)
        self.assertEqual(errors, [], "\n".join(errors))


if __name__ == "__main__":
    COMPILER = sys.argv[1:] or COMPILER
    unittest.main(argv=sys.argv[:1])
