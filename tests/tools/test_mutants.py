"""The mutants of the tables (tests/model/mutants) are those that the models look for, and the
generator plants what a table says, or says why it cannot."""
import glob
import os
import re
import sys
import tempfile
import textwrap
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "model", "mutants"))
sys.dont_write_bytecode = True

import generate  # noqa: E402

LIST = re.compile(r"\bMutants\{((?:[^{}]|\{[^{}]*\})*)\}")
OWN = re.compile(r'\{(\w+),((?:\s*"[^"\n]*")+)\}')
CONSTANT = re.compile(r"\b(k\w+) = (\d+)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def lists_of_models():
    """The numbers that are listed, and of the models' own mutants number -> sentences."""
    listed, own = set(), {}
    headers = "".join(map(read, glob.glob(os.path.join(ROOT, "tests/model/*.hpp"))))
    for path in glob.glob(os.path.join(ROOT, "tests/model/*.cpp")):
        text = read(path)
        numbers = dict(CONSTANT.findall(headers + text))
        for inside in LIST.findall(text):
            for name, sentence in OWN.findall(inside):
                own.setdefault(int(numbers.get(name, name)), set()).add(
                    "".join(re.findall(r'"([^"]*)"', sentence)))
            listed.update(map(int, re.findall(r"\d+", OWN.sub("", inside))))
    return listed, own


class Lists(unittest.TestCase):
    def test_models_look_for_the_mutants_of_the_tables_and_no_others(self):
        listed, own = lists_of_models()
        tables = generate.read_tables(generate.TABLES).values()
        planted = {mutant.id for mutants in tables for mutant in mutants}
        self.assertGreater(len(planted), 150)
        self.assertEqual(planted - listed, set(), "no model looks for it")
        self.assertEqual(listed - planted, set(), "it is in no table")
        self.assertEqual(planted & set(own), set(), "a model has the number for its own")

    def test_a_models_own_mutant_has_one_number_and_one_sentence(self):
        _, own = lists_of_models()
        self.assertGreater(len(own), 20)
        self.assertEqual({number: texts for number, texts in own.items() if len(texts) > 1}, {})


SHIPPED = """\
// word_.load(kAcquire) in a comment is no place.
class Word {
  bool take() {
    const auto old = word_.load(kAcquire);
    if (old != 0 && is_open())
      word_.store(0, kRelease);
    return old != 0;
  }
  bool look() {
    const auto old = word_.load(kAcquire);  // a look
    return old == 7;
  }
};
"""


def planted(table, shipped=SHIPPED):
    return generate.plant(generate.parse("a.hpp.txt", textwrap.dedent(table)), shipped)


class Planting(unittest.TestCase):
    def check(self, table, line, wanted):
        self.assertEqual(planted(table).split("\n")[line - 1].strip(), wanted)

    def fails(self, table, message, shipped=SHIPPED):
        with self.assertRaises(generate.TableError) as caught:
            planted(table, shipped)
        self.assertEqual(str(caught.exception), message)

    def test_nothing_changes_without_a_table(self):
        self.assertEqual(planted(""), SHIPPED)

    def test_an_expression(self):
        self.check("""\
            12  It compares with another number.
            - old == 7
            + true
            """, 11, "return (::ramie::model::is_mutant(12) ? (true) : (old == 7));")

    def test_a_statement_that_spans_lines_keeps_the_number_of_lines(self):
        out = planted("""\
            12  It does not look.
            - if (old != 0 && is_open()) word_.store(0, kRelease);
            + word_.store(0, kRelease);
            + return true;
            """).split("\n")
        self.assertEqual(out[4:6], [
            "    { if (::ramie::model::is_mutant(12)) { word_.store(0, kRelease); return true; }"
            " else { if (old != 0 && is_open())",
            "      word_.store(0, kRelease); } }"])
        self.assertEqual(len(out), len(SHIPPED.split("\n")))

    def test_a_statement_goes(self):
        self.check("""\
            12  It forgets the store.
            - word_.store(0, kRelease);
            +
            """, 6, "{ if (::ramie::model::is_mutant(12)) {  } else "
                    "{ word_.store(0, kRelease); } }")

    def test_text_that_asks_itself_stands_as_it_is(self):
        self.check("""\
            12  It returns at once.
            in bool look()
            - const auto old =
            + if (is_mutant(12)) return true; const auto old =
            """, 10, "if (::ramie::model::is_mutant(12)) return true; const auto old = "
                     "word_.load(kAcquire);  // a look")

    def test_places_may_nest_or_be_equal(self):
        self.check("""\
            1  One.
            - return old == 7;
            + return true;
            2  Two.
            - old == 7
            + false
            3  Three.
            - old == 7
            + old == 8
            """, 11, "{ if (::ramie::model::is_mutant(1)) { return true; } else { return "
                     "(::ramie::model::is_mutant(2) ? (false) : "
                     "((::ramie::model::is_mutant(3) ? (old == 8) : (old == 7)))); } }")

    def test_a_mutant_may_have_several_parts(self):
        out = planted("""\
            12  Both loads
                are relaxed.
            in bool take()
            - kAcquire
            + kRelaxed
            in bool look()
            - kAcquire
            + kRelaxed
            """)
        self.assertEqual(out.count("(::ramie::model::is_mutant(12) ? (kRelaxed) : (kAcquire))"), 2)

    def test_places_that_overlap_are_refused(self):
        self.fails("1  One.\n- old != 0 && is_open()\n+ true\n2  Two.\n- is_open())\n+ true\n",
                   "a.hpp.txt:5: mutant 2: overlaps with another mutant")

    def test_nothing_is_planted_where_it_would_be_lost(self):
        self.fails("1  One.\n- return old == 7;\n+ return is_mutant(1) || old == 7;\n"
                   "2  Two.\n- old == 7\n+ true\n",
                   "a.hpp.txt:2: mutant 1: another mutant is within it, and would be lost")

    def test_text_that_is_not_there_once_is_refused(self):
        self.fails("12  It is gone.\n- old == 8\n+ true\n",
                   "a.hpp.txt:2: mutant 12: found 0 times in a.hpp, want once: old == 8")
        self.fails("12  It is there twice.\n- word_.load(kAcquire)\n+ 0\n",
                   "a.hpp.txt:2: mutant 12: found 2 times in a.hpp, want once: "
                   "word_.load(kAcquire)")
        self.fails("12  Not in this function.\nin bool take()\n- old == 7\n+ true\n",
                   "a.hpp.txt:2: mutant 12: found 0 times in `in bool take()` of a.hpp, "
                   "want once: old == 7")
        self.fails("12  No such function.\nin bool give()\n- old == 7\n+ true\n",
                   "a.hpp.txt:2: mutant 12: found 0 times in a.hpp, want once: bool give()")

    def test_a_name_is_found_as_a_whole(self):
        self.fails("12  A part of a name.\n- ld == 7\n+ true\n",
                   "a.hpp.txt:2: mutant 12: found 0 times in a.hpp, want once: ld == 7")
        self.fails("12  A member of something.\n- store(0, kRelease)\n+ 0\n",
                   "a.hpp.txt:2: mutant 12: found 0 times in a.hpp, want once: store(0, kRelease)")

    def test_statements_and_expressions_do_not_mix(self):
        self.fails("12  X.\n- return old == 7;\n+ true\n",
                   "a.hpp.txt:2: mutant 12: a statement becomes an expression: true")
        self.fails("12  X.\n- old == 7\n+ return;\n",
                   "a.hpp.txt:2: mutant 12: an expression becomes a statement: return;")
        self.fails("12  X.\n- old == 7\n+\n",
                   "a.hpp.txt:2: mutant 12: an expression becomes a statement: ")
        self.fails("12  X.\n- old == 7\n+ is_mutant(13)\n",
                   "a.hpp.txt:2: mutant 12: asks for another mutant")
        self.fails("12  X.\n- old == 7\n+ true  // yes\n",
                   "a.hpp.txt:2: mutant 12: a comment cannot be planted")

    def test_a_table_is_numbers_sentences_and_parts(self):
        self.fails("- old\n+ 1\n",
                   "a.hpp.txt:1: want a number and a sentence, not: - old")
        self.fails("12  X.\n- old == 7\n",
                   "a.hpp.txt:1: mutant 12: has no `-` with a `+`")
        self.fails("12  X.\n- old == 7\n+ true\nand so on\n",
                   "a.hpp.txt:4: mutant 12: want `in`, `-` or `+`, not: and so on")


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.write("sched/a.hpp", SHIPPED)
        self.write("sched/include/ramie/b.hpp", SHIPPED)
        self.write("tables/sched/a.hpp.txt", "# Of a.\n\n1  One.\n- old == 7\n+ true\n")
        self.write("tables/sched/include/ramie/b.hpp.txt", '2  A "b".\n- old == 7\n+ true\n')

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def generate(self, *paths):
        generate.generate(self.folder.name, self.path("out"), paths, self.path("tables"))

    def fails(self, paths, message):
        with self.assertRaises(generate.TableError) as caught:
            self.generate(*paths)
        self.assertEqual(str(caught.exception), message)

    BOTH = ("sched/a.hpp", "sched/include/ramie/b.hpp")

    def test_copies_headers_and_the_list(self):
        self.generate(*self.BOTH)
        self.assertIn(f'#line 1 "{self.path("sched/a.hpp")}"\n// word_', read(self.path(
            "out/sched_a.hpp")))
        self.assertEqual(read(self.path("out/include/sched/a.hpp")), '#include "sched_a.hpp"\n')
        self.assertEqual(read(self.path("out/include/ramie/b.hpp")),
                         '#include "sched_include_ramie_b.hpp"\n')
        self.assertIn('{1, "sched/a.hpp", "One."},\n    {2, "sched/include/ramie/b.hpp", '
                      '"A \\"b\\"."},', read(self.path("out/mutants.hpp")))

    def test_what_is_unchanged_stays_and_what_is_stale_goes(self):
        self.generate(*self.BOTH)
        for name in ("sched_a.hpp", "mutants.hpp", "include/sched/a.hpp"):
            os.utime(self.path("out/" + name), (1, 1))
        self.write("sched/include/ramie/b.hpp", SHIPPED + "\n")
        self.generate(*self.BOTH)
        for name in ("sched_a.hpp", "mutants.hpp", "include/sched/a.hpp"):
            self.assertEqual(os.stat(self.path("out/" + name)).st_mtime, 1)
        os.remove(self.path("tables/sched/include/ramie/b.hpp.txt"))
        self.generate("sched/a.hpp")
        self.assertFalse(os.path.exists(self.path("out/include/ramie/b.hpp")))

    def test_a_number_is_used_once(self):
        self.write("tables/sched/include/ramie/b.hpp.txt", "1  Too.\n- old == 7\n+ true\n")
        self.fails(self.BOTH, "sched/include/ramie/b.hpp.txt:1: mutant 1: the number is used "
                              "already: sched/a.hpp.txt:3")

    def test_tables_and_the_build_name_the_same_files(self):
        self.fails(self.BOTH[:1], "sched/include/ramie/b.hpp: has either no table or no line in "
                                  "meson.build")
        os.remove(self.path("sched/a.hpp"))
        self.fails(self.BOTH, "sched/a.hpp.txt: there is no sched/a.hpp")


if __name__ == "__main__":
    unittest.main()
