"""Shared by the checkers: finds files, and reads code without its comments."""
import os
import re

CPP_SUFFIXES = (".cpp", ".hpp", ".c", ".h")
LIBRARY_FOLDERS = ("sched", "io", "signal", "uring", "runtime")
SKIPPED_FOLDERS = {"build", "__pycache__"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)')

# A comment, a raw string, a string or a character; a digit separator (1'000) is none of them.
_LITERAL = re.compile(
    r"//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/"
    r'|R"(?P<mark>[^\s()\\]*)\(.*?\)(?P=mark)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)*'",
    re.S)


def _blank(match):
    """Keeps the line breaks, and the quotes so that a string stays an operand."""
    text = match.group(0)
    lines = "\n" * text.count("\n")
    return lines if text.startswith("/") else '""' + lines


def code_only(text):
    """C++ text with comments and the insides of literals removed; line numbers stay."""
    return _LITERAL.sub(_blank, text)


def includes(text):
    """Yields (line number, path, is quoted) of each include that is not in a block comment."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    for number, line in enumerate(text.split("\n"), 1):
        if match := INCLUDE.match(line):
            yield number, match.group(1) or match.group(2), match.group(1) is not None


def walk(root):
    """All files below `root`, as sorted relative paths; no builds, of hidden folders only .ci."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders
                         if name not in SKIPPED_FOLDERS and (name == ".ci" or name[0] != ".")]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def repository_root():
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def report(violations):
    """Prints `file:line: rule: message` for each violation; returns the exit status."""
    for path, line, rule, message in sorted(violations):
        print(f"{path}:{line}: {rule}: {message}")
    return 1 if violations else 0
