#!/usr/bin/env python3
"""Checks that pages and code agree: check_docs.py [root] prints `file:line: message`, or nothing.

    snippet   a code block after the line `<!-- path -->` is that file, to the letter; after
              `<!-- from path -->` it is a part of it, however indented
    test      a name in quotes in docs/seeds.md, or in the failure table of docs/reliability.md, is
              a test case
    link      a relative link leads to a file; `file#part` to a heading in it

Exits 1 if it prints any line.
"""
import os
import re
import sys

SNIPPET = re.compile(r"^<!-- (from )?([\w./-]+) -->\n```\w*\n(.*?)^```$", re.M | re.S)
BLOCK = re.compile(r"^```.*?^```$", re.M | re.S)
TEST = re.compile(r'TEST_CASE\(\s*("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*)')
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """The names that a page's headings get: lower case, blanks as hyphens, the rest dropped."""
    headings = re.findall(r"^#+ +(.*)$", BLOCK.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def is_part(block, whole):
    """Whether the block's lines stand in `whole` one after the other."""
    block, whole = ([line.strip() for line in text.splitlines()] for text in (block, whole))
    return any(whole[i:i + len(block)] == block for i in range(len(whole) - len(block) + 1))


def check_snippets(root, page, text):
    for match in SNIPPET.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        is_whole, path, block = match.group(1) is None, match.group(2), match.group(3)
        source = os.path.join(root, path)
        if not os.path.isfile(source):
            yield f"{page}:{line}: there is no {path}"
        elif not (read(source) == block if is_whole else is_part(block, read(source))):
            yield f"{page}:{line}: the block differs from {path}"


def check_links(root, page, text):
    # Blocks are blanked, so that line numbers stay.
    prose = BLOCK.sub(lambda block: "\n" * block.group(0).count("\n"), text)
    for match in LINK.finditer(prose):
        line = prose.count("\n", 0, match.start()) + 1
        path, _, part = match.group(1).partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = os.path.normpath(os.path.join(root, os.path.dirname(page), path))
        if not path:
            target = os.path.join(root, page)
        if not os.path.exists(target):
            yield f"{page}:{line}: {match.group(1)} leads nowhere"
        elif part and target.endswith(".md") and part not in anchors(read(target)):
            yield f"{page}:{line}: {path or page} has no heading #{part}"


def test_names(root):
    """The names of all test cases; adjacent literals are one name."""
    names = set()
    for folder, _, files in os.walk(os.path.join(root, "tests")):
        for file in files:
            if file.endswith(".cpp"):
                for match in TEST.finditer(read(os.path.join(folder, file))):
                    names.add("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(1))))
    return names


def check_tests(root, page, text):
    if page == os.path.join("docs", "reliability.md"):  # its rows only; lines stay where they are
        text = "\n".join(line if re.match(r"\| \d", line) else "" for line in text.split("\n"))
    elif page != os.path.join("docs", "seeds.md"):
        return
    names = test_names(root)
    for match in re.finditer(r'"([^"\n]+)"', text):
        if match.group(1) not in names:
            line = text.count("\n", 0, match.start()) + 1
            yield f"{page}:{line}: no test case is called {match.group(0)}"


def pages(root):
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name != "build" and name[0] != "."]
        for name in sorted(names):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), root)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(__file__)) or "."
    faults, snippets = [], 0
    for page in pages(root):
        text = read(os.path.join(root, page))
        snippets += len(SNIPPET.findall(text))
        faults += [*check_snippets(root, page, text), *check_links(root, page, text),
                   *check_tests(root, page, text)]
    if snippets == 0:
        faults.append("README.md:1: no page shows a file: is the mark of snippets spelt wrong?")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
