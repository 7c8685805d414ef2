#!/usr/bin/env python3
"""Plants the mutants of the tables below this folder in copies of the shipped files.

    generate.py ROOT OUT FILE...   FILE: a shipped file with a table here, such as sched/cancel.cpp

Writes OUT/sched_cancel.cpp and so on (what is unchanged stays untouched), and OUT/mutants.hpp, the
list of all mutants. Headers are found through OUT/include/, where `sched/fiber.hpp` is one line
that includes OUT/sched_fiber.hpp: an output of meson has no folder. Line numbers in a copy are
those of the shipped file.

A table is `tests/model/mutants/<file>.txt`:

    # A comment.
    12  One sentence (it may go on in indented lines): what is wrong, and what comes of it.
    in void Baton::release()
    - base::kSeqCst
    + base::kRelaxed

`-` is the shipped text, `+` the wrong one; either may have several lines, and an empty `+` removes.
Blanks and line breaks need not match. The shipped text must be there exactly once: in the file, or
after an `in` line in the block (function, class) that begins where the text of `in` is, which
ends at the first `}` with the same indentation. A mutant may have several such parts.

Shipped text that ends in `;` or `; }` is a statement and becomes `if (mutant) {+} else {-}`, any
other is an expression and becomes `(mutant ? (+) : (-))`. Where neither can be (a declaration, a
line that moves), `+` says itself when it is wrong: if it names `is_mutant(12)` it stands as it is.
"""
import dataclasses
import json
import os
import re
import sys

TABLES = os.path.dirname(os.path.abspath(__file__))
HEAD = re.compile(r"(\d+)\s+(\S.*)")
TOKEN = re.compile(r"\w+|[^\w\s]")
COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.S)
ASKS = re.compile(r"\bis_mutant\((\d+)\)")


class TableError(Exception):
    pass


@dataclasses.dataclass
class Part:
    """One place of a mutant. After find() it knows where in the file it is."""
    line: int
    scope: str = ""
    old: str = ""
    new: str | None = None
    begin: int = 0
    end: int = 0


@dataclasses.dataclass
class Mutant:
    table: str
    line: int
    id: int
    what: str
    parts: list = dataclasses.field(default_factory=list)

    def fail(self, message, line=None):
        raise TableError(f"{self.table}:{line or self.line}: mutant {self.id}: {message}")


def added(text, more):
    return f"{text}\n{more}" if text else more


def next_part(mutant, number):
    """The part that an `in` or `-` line belongs to: a new one if the last one has its `+`."""
    if not mutant.parts or mutant.parts[-1].new is not None:
        mutant.parts.append(Part(number))
    return mutant.parts[-1]


def parse(table, text):
    """The mutants of one table."""
    mutants = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if head := HEAD.fullmatch(line):
            mutants.append(Mutant(table, number, int(head[1]), head[2]))
            continue
        if not mutants:
            raise TableError(f"{table}:{number}: want a number and a sentence, not: {line}")
        mutant = mutants[-1]
        sign, rest = line[0], line[1:].strip()
        if line.startswith("in "):
            next_part(mutant, number).scope = line[3:].strip()
        elif sign == "-":
            part = next_part(mutant, number)
            part.old = added(part.old, rest)
        elif sign == "+" and mutant.parts and mutant.parts[-1].old:
            mutant.parts[-1].new = added(mutant.parts[-1].new, rest)
        elif sign == " " and not mutant.parts:
            mutant.what += " " + rest
        else:
            mutant.fail(f"want `in`, `-` or `+`, not: {line}", number)
    for mutant in mutants:
        if not mutant.parts or mutant.parts[-1].new is None:
            mutant.fail("has no `-` with a `+`")
    return mutants


def without_comments(text):
    """The same length, with blanks for comments."""
    return COMMENT.sub(
        lambda m: re.sub(r"[^\n]", " ", m[0]) if m[0].startswith("/") else m[0], text)


def finds(text, code, begin=0, end=None):
    """Where `text` is in code: token for token, whatever is between them."""
    tokens = TOKEN.findall(text)
    expression = re.escape(tokens[0])
    for last, token in zip(tokens, tokens[1:]):
        blanks = r"\s+" if re.match(r"\w", token) and re.match(r"\w", last) else r"\s*"
        expression += blanks + re.escape(token)
    front = r"(?<![\w.:])(?<!->)" if re.match(r"\w", text) else ""
    back = r"(?!\w)" if re.search(r"\w$", text) else ""
    pattern = re.compile(front + expression + back)
    return list(pattern.finditer(code, begin, len(code) if end is None else end))


def find_one(mutant, part, text, code, begin=0, end=None):
    found = finds(text, code, begin, end)
    if len(found) != 1:
        where = f"`in {part.scope}` of " if part.scope and text != part.scope else ""
        mutant.fail(f"found {len(found)} times in {where}{mutant.table[:-len('.txt')]}, "
                    f"want once: {text}", part.line)
    return found[0]


def find(mutant, code):
    """Sets the place of each of the mutant's parts."""
    for part in mutant.parts:
        begin, end = 0, len(code)
        if part.scope:
            begin = find_one(mutant, part, part.scope, code).start()
            line = code.rfind("\n", 0, begin) + 1
            indent = re.match(r" *", code[line:])[0]
            close = re.compile(rf"^{indent}\}}", re.M).search(code, begin)
            end = close.end() if close else len(code)
        match = find_one(mutant, part, part.old, code, begin, end)
        part.begin, part.end = match.span()


def is_statement(text):
    return re.search(r";[\s}]*$", text) is not None


def planted(mutant, part, old):
    """What stands in the copy; `old` may have other mutants in it. As many lines as `old`."""
    new = " ".join(part.new.split())
    if "//" in new:
        mutant.fail("a comment cannot be planted", part.line)
    asked = {int(number) for number in ASKS.findall(new)}
    if asked:
        if asked != {mutant.id}:
            mutant.fail("asks for another mutant", part.line)
        return ASKS.sub(r"::ramie::model::is_mutant(\1)", new) + "\n" * old.count("\n")
    asks = f"::ramie::model::is_mutant({mutant.id})"
    if is_statement(part.old):
        if new and not is_statement(new):
            mutant.fail(f"a statement becomes an expression: {new}", part.line)
        return f"{{ if ({asks}) {{ {new} }} else {{ {old} }} }}"
    if not new or is_statement(new):
        mutant.fail(f"an expression becomes a statement: {new}", part.line)
    return f"({asks} ? ({new}) : ({old}))"


def plant(mutants, text):
    """The file with all the mutants in it; `text` is the file as it ships."""
    code = without_comments(text)
    places = []
    for mutant in mutants:
        find(mutant, code)
        places += [(mutant, part) for part in mutant.parts]
    places.sort(key=lambda place: (place[1].begin, -place[1].end))

    def render(begin, end):
        """text[begin:end] with the places that are in it, from the first that is left on."""
        out = ""
        while places and places[0][1].begin < end:
            mutant, part = places.pop(0)
            if part.end > end:
                mutant.fail("overlaps with another mutant", part.line)
            out += text[begin:part.begin]
            inner = len(places)
            old = render(part.begin, part.end)
            if inner != len(places) and "is_mutant(" in part.new:
                mutant.fail("another mutant is within it, and would be lost", part.line)
            out += planted(mutant, part, old)
            begin = part.end
        return out + text[begin:end]

    return render(0, len(text))


def flat(path):
    return path.replace("/", "_")


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read_tables(folder):
    """Shipped file -> its mutants, of all tables below the folder."""
    tables = {}
    for directory, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.endswith(".txt"):
                path = os.path.join(directory, name)
                table = os.path.relpath(path, folder)
                with open(path, encoding="utf-8") as file:
                    tables[table[:-len(".txt")]] = parse(table, file.read())
    lines = {}
    for mutants in tables.values():
        for mutant in mutants:
            if mutant.id in lines:
                mutant.fail(f"the number is used already: {lines[mutant.id]}")
            lines[mutant.id] = f"{mutant.table}:{mutant.line}"
    return tables


def list_of(tables):
    """mutants.hpp"""
    rows = "".join(f'    {{{mutant.id}, "{path}", {json.dumps(mutant.what)}}},\n'
                   for path, mutants in tables.items() for mutant in mutants)
    return ("// All mutants of shipped files. Generated from tests/model/mutants.\n"
            "#pragma once\n\nnamespace ramie::model {\n\n"
            "struct Mutant {\n  int id;\n  const char* file;\n  const char* what;\n};\n\n"
            f"inline constexpr Mutant kMutants[] = {{\n{rows}}};\n\n"
            "}  // namespace ramie::model\n")


def forward(out, paths):
    """OUT/include/: what leads from a header's name to its copy, and nothing else."""
    include = os.path.join(out, "include")
    wanted = {os.path.join(include, *(path.split("/include/")[-1:])): path
              for path in paths if path.endswith(".hpp")}
    for directory, _, names in os.walk(include):
        for name in names:
            if os.path.join(directory, name) not in wanted:
                os.remove(os.path.join(directory, name))
    for path, shipped in wanted.items():
        write_if_changed(path, f'#include "{flat(shipped)}"\n')


def generate(root, out, paths, folder=TABLES):
    tables = read_tables(folder)
    if set(tables) != set(paths):
        odd = sorted(set(tables) ^ set(paths))
        raise TableError(f"{', '.join(odd)}: has either no table or no line in meson.build")
    copies = {}
    for path, mutants in tables.items():
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            raise TableError(f"{path}.txt: there is no {path}") from None
        copies[path] = ('#include "tests/model/checker.hpp"\n'
                        f'#line 1 "{os.path.join(root, path)}"\n' + plant(mutants, text))
    for path, text in copies.items():
        write_if_changed(os.path.join(out, flat(path)), text)
    forward(out, paths)
    write_if_changed(os.path.join(out, "mutants.hpp"), list_of(tables))


if __name__ == "__main__":
    try:
        generate(sys.argv[1], sys.argv[2], sys.argv[3:])
    except TableError as error:
        sys.exit(f"tests/model/mutants/{error}")
