"""dead.py: what nobody uses is found, and what somebody uses is not."""
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import dead  # noqa: E402

HEADER = """// X.
#pragma once
inline constexpr int kUsed = 1;
class A {
 public:
  int used(int number) noexcept;
  [[nodiscard]] Result<std::vector<int>> also_used() const;
  %s
};
"""
SOURCE = """// X.
#include "io/a.hpp"
int A::used(int number) noexcept { return number + kUsed; }
Result<std::vector<int>> A::also_used() const { return {used(1)}; }
int B::call() { return A().also_used(); }
%s
"""


def check(declaration="", definition="", **more):
    """The (path, rule) pairs of a repository with one header, its source, and more files."""
    files = {"io/a.hpp": HEADER % declaration, "io/a.cpp": SOURCE % definition,
             "io/meson.build": "ramie_sources += files('a.cpp')\n"}
    files.update({path.replace("__", "/").replace("_dot_", "."): text
                  for path, text in more.items()})
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return sorted((path, rule) for path, _, rule, _ in dead.check_tree(root))


class Dead(unittest.TestCase):
    def test_what_is_used_is_not_reported(self):
        self.assertEqual(check(), [])

    def test_a_function_that_is_only_declared_and_defined_is_dead(self):
        for declaration, definition in [
                ("void lost() noexcept;", ""),
                ("void lost() noexcept;", "void A::lost() noexcept {}"),
                ("static std::unique_ptr<int> lost(int a, int b);", ""),
                ("int lost() const { return 1; }", ""),
                ("virtual const char* lost() = 0;", "")]:
            with self.subTest(declaration=declaration):
                self.assertEqual(check(declaration, definition),
                                 [("io/a.hpp", "unused-declaration")])

    def test_a_constant_that_nothing_reads_is_dead(self):
        self.assertEqual(check("static constexpr int kLost = 1;"),
                         [("io/a.hpp", "unused-declaration")])
        self.assertEqual(check("static constexpr int kSize = 1;", "int b = A::kSize;"), [])

    def test_a_use_in_a_comment_or_a_string_is_none(self):
        self.assertEqual(check("void lost();", 'const char* b = "lost()";  // lost()'),
                         [("io/a.hpp", "unused-declaration")])

    def test_a_use_anywhere_in_the_repository_counts(self):
        self.assertEqual(check("void found();", tests__a_test_dot_cpp="// X.\n  a.found();\n"), [])

    def test_public_headers_are_for_users(self):
        self.assertEqual(check(io__include__ramie__b_dot_hpp="// X.\nvoid for_users();\n"), [])

    def test_a_header_that_no_file_includes_is_dead(self):
        self.assertEqual(check(io__b_dot_hpp="// X.\n"), [("io/b.hpp", "unused-header")])
        self.assertEqual(check(io__b_dot_hpp="// X.\n",
                               io__include__ramie__c_dot_hpp='// X.\n#include "io/b.hpp"\n'), [])
        self.assertEqual(check(io__b_dot_hpp="// X.\n",
                               tests__c_dot_cpp='// X.\n#include "../io/b.hpp"\n'), [])

    def test_a_source_that_is_not_built_is_dead(self):
        self.assertEqual(check(io__b_dot_cpp="// X.\n"), [("io/b.cpp", "unused-source")])
        self.assertEqual(check(tools__b_dot_cpp="// X.\n"), [])


if __name__ == "__main__":
    unittest.main()
