#!/usr/bin/env python3
"""Finds what nothing uses: dead.py [root] prints `file:line: rule: message`, exits 1 if any.

    unused-header       a header of the library that no file includes
    unused-source       a .cpp file of the library that no meson.build names
    unused-declaration  a function or constant of a private header whose name stands nowhere in the
                        repository but in its declaration and its definition

Names are compared as words, so a name that something else shares counts as used: what this tool
reports is dead, but not everything dead is reported.
"""
import collections
import os
import re
import sys

import sources

WORD = re.compile(r"[A-Za-z_]\w*")
# A declaration starts its line, with a type before the name. (Statements stand in functions, and
# begin with a keyword, or have no type.)
FUNCTION = re.compile(
    r"^\s*(?:\[\[[\w:\s,()\"]*\]\]\s*)*"
    r"(?!(?:return|else|delete|throw|new|case|goto|using|co_return|typedef|friend)\b)"
    r"(?:[\w:]+(?:<[^;{}()=]*>)?[\s&*]+)+(~?[a-z]\w*)\s*\(")
CONSTANT = re.compile(r"\bconstexpr\s+(?:[\w:<>]+\s+)+(k[A-Z]\w*)\s*(?:=|\{)")
# What the language or the standard library calls by name.
CALLED_BY_OTHERS = {"main", "begin", "end", "lock", "unlock", "try_lock", "swap", "what", "name",
                    "message", "equivalent", "default_error_condition", "format", "parse"}


def is_private_header(path):
    return (path.endswith(".hpp") and path.split("/")[0] in sources.LIBRARY_FOLDERS
            and "/include/ramie/" not in path)


def declarations(code):
    """Yields (line, name) of each function and constant that comment-free code declares."""
    for number, line in enumerate(code.split("\n"), 1):
        if match := FUNCTION.match(line):
            yield number, match.group(1)
        for match in CONSTANT.finditer(line):
            yield number, match.group(1)


def uses(codes):
    """How often each word stands in the repository, without definitions in .cpp files."""
    count = collections.Counter()
    for path, code in codes.items():
        for line in code.split("\n"):
            count.update(WORD.findall(line))
            if path.endswith(".cpp") and line[:1].strip():  # not indented: a definition's head
                count.subtract(re.findall(r"([A-Za-z_]\w*)\s*\(", line.split("{")[0]))
    return count


def check_declarations(codes):
    count = uses(codes)
    declared = collections.Counter()
    places = {}
    for path, code in codes.items():
        if not path.endswith(".hpp"):
            continue
        for line, name in declarations(code):
            declared[name] += 1
            if is_private_header(path):
                places.setdefault(name, (path, line))
    for name, (path, line) in places.items():
        if name not in CALLED_BY_OTHERS and count[name] <= declared[name]:
            yield path, line, "unused-declaration", f"nothing uses {name}"


def check_headers(texts, builds):
    included = set()
    for path, text in texts.items():
        for _, name, quoted in sources.includes(text):
            beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
            included |= {name, beside} if quoted else {name}
    for text in builds:  # a precompiled header
        included.update(re.findall(r"\w+/pch/\w+\.hpp", text))
    for path in texts:
        if not is_private_header(path):
            continue
        if path not in included:
            yield path, 1, "unused-header", "no file includes it"


def check_sources(texts, builds):
    for path in texts:
        folder = path.split("/")[0]
        if not path.endswith(".cpp") or folder not in sources.LIBRARY_FOLDERS:
            continue
        if f"'{path.removeprefix(folder + '/')}'" not in builds.get(f"{folder}/meson.build", ""):
            yield path, 1, "unused-source", f"{folder}/meson.build does not name it"


def check_tree(root):
    paths = list(sources.walk(root))
    texts = {path: sources.read(root, path) for path in paths
             if path.endswith(sources.CPP_SUFFIXES)}
    builds = {path: sources.read(root, path) for path in paths if path.endswith("meson.build")}
    codes = {path: sources.code_only(text) for path, text in texts.items()}
    return [*check_headers(texts, builds.values()), *check_sources(texts, builds),
            *check_declarations(codes)]


if __name__ == "__main__":
    sys.exit(sources.report(
        check_tree(sys.argv[1] if len(sys.argv) > 1 else sources.repository_root())))
