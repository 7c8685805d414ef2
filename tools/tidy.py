#!/usr/bin/env python3
"""Checks the shape of files, and owners: tidy.py [root] prints `file:line: rule: message`.

    shape    file-length 500, line-length 100, function-length 70, tab, trailing-blank,
             opening-comment, unfinished (marks of work left undone)
    mutant   planted bugs are in the tables of tests/model/mutants, and nowhere else
    owner    each dangerous thing lives in one place of the library; OWNERS says which

Programs around the library (tools, tests, bench, docs/examples) are free of the owner rules.

Exits 1 if any rule is broken.
"""
import ast
import re
import sys

import sources

MAX_FILE_LINES = 500
MAX_LINE_COLUMNS = 100
MAX_FUNCTION_LINES = 70

# Split, so that this file may pass its own check.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")

PLANTED = re.compile(r"MUT" + r"ANT\b|\bis_(?:mut" + r"ant|planted)\b")

SCRIPTS = ("dev", ".ci/run")

# Where the library calls the kernel.
SYSTEM_CALLS = ("sched/base/sys.", "io/sys/", "runtime/net/sys/", "runtime/fs/sys/")

# rule, what it looks for in code and includes, where it is allowed (path prefixes), the way out.
OWNERS = [
    ("boost", r"\bboost::|<boost/|\b(?:make|jump|ontop)_fcontext\b", ("sched/context.",),
     "switches go through sched/context"),
    ("moodycamel", r"\bmoodycamel::|concurrentqueue\.h[>\"]",
     ("sched/injector.",), "the global queue is sched/injector"),
    ("epoll", r"<sys/epoll\.h>|\bepoll_(?:create1?|ctl|p?wait2?)\b|\bEPOLL[A-Z]+\b",
     ("io/sys/epoll.",), "epoll goes through io/sys/epoll"),
    ("liburing", r"<liburing(?:\.h|/)|\bio_uring_\w+", ("uring/ring.",),
     "rings go through uring/ring"),
    ("environment", r"\b(?:secure_)?getenv\b|\benviron\b", ("runtime/config.", "sched/detectors."),
     "variables are read by runtime/config"),
    ("thread-local", r"\bthread_local\b|\b__thread\b", ("sched/current.",),
     "a fiber may change threads: ask sched/current"),
    ("exception-state", r"\b__cxa_get_globals(?:_fast)?\b",
     ("sched/context.", "sched/base/annotate.hpp"), "sched/context switches it"),
    ("sanitizer", r"<sanitizer/|<valgrind/|\b__(?:sanitizer|asan|tsan|lsan)_\w+|\bVALGRIND_\w+",
     ("sched/context.", "sched/base/annotate.hpp", "sched/detectors."),
     "annotations are in sched/base/annotate.hpp"),
    ("errno", r"\berrno\b|<errno\.h>", SYSTEM_CALLS,
     "call the function of sched/base/sys or of a sys/ folder, which returns -errno"),
    ("syscall", r"(?<![\w:.>])(?:::)?syscall\s*\("
     r"|(?<![\w>])::(?:accept4?|bind|close|connect|dup[23]?|epoll_\w+|eventfd"
     r"|fallocate|fchmod|fcntl|fdatasync|flock|fsync|ftruncate|futimens|getsockopt|ioctl|listen"
     r"|lseek|madvise|mmap|mprotect|munmap|open(?:at)?|pipe2?"
     r"|poll|ppoll|preadv?2?|pwritev?2?|readv?|recv(?:from|m?msg)?|select"
     r"|send(?:file|to|m?msg)?|setsockopt|shutdown|signalfd|socket(?:pair)?"
     r"|statx|timerfd_\w+|writev?)\s*\(",
     SYSTEM_CALLS,
     "call the function of sched/base/sys or of a sys/ folder"),
    ("sigaction", r"\bsigaction\b|(?<![\w>])(?:::|std::)signal\s*\(",
     ("signal/handlers.", "sched/stack_overflow.", "sched/probe."),
     "handlers are installed by signal/handlers"),
]
OWNERS = [(rule, re.compile(pattern), allowed, way) for rule, pattern, allowed, way in OWNERS]

CONTROL = re.compile(r"^(?:if|for|while|switch|catch|do|else|try|return|co_return)\b")
NOT_A_FUNCTION = re.compile(r"^(?:inline\s+)?(?:namespace|enum)\b|^extern\s*\"\"$")
TYPE = re.compile(r"\b(?:class|struct|union)\b")
INITIALIZER = re.compile(r"(?<![=!<>])=(?!=)")
SCANNED = re.compile(
    r"[{}();]|\b(?:public|private|protected)\s*:(?!:)"
    r"|^[ \t]*#(?:.*\\\n)*.*$", re.M)
MEMBER_INIT = re.compile(r"\)[^():]*:(?!:)")


def without_parentheses(text):
    """`f(a = (1)) -> g` -> `f() -> g`; a template argument list or attribute stays."""
    previous = None
    while previous != text:
        previous, text = text, re.sub(r"\([^()]*\)", "\0", text)
    return text.replace("\0", "()")


def opens_function(head):
    """Whether the text before a `{` is the head of a function (or a TEST_CASE)."""
    bare = without_parentheses(" ".join(head.split()))
    if "(" not in bare or CONTROL.match(bare) or NOT_A_FUNCTION.match(bare):
        return False
    if TYPE.search(bare.split("(")[0]) and not re.search(r"\)\s*(?:const|noexcept|->|$)", bare):
        return False  # class alignas(64) X, struct [[gnu::packed()]] Y
    return not INITIALIZER.search(re.sub(r"operator\s*\W+?(?=\()", "operator", bare))


def cpp_functions(code):
    """Yields (first line, last line) of each outermost function body in comment-free code."""
    head_start, parens, stack = 0, 0, []
    function_start = None
    for match in SCANNED.finditer(code):
        token, at = match.group(0), match.start()
        if token in "()":
            parens = max(0, parens + (1 if token == "(" else -1))
        elif token == "{":
            kind = "block"
            if function_start is None and parens == 0:
                head = code[head_start:at]
                bare = without_parentheses(head)
                if MEMBER_INIT.search(bare) and re.search(r"[\w>]$", head):
                    kind = "member"  # Foo() : a_{1} {
                elif opens_function(head):
                    kind = "function"
                    function_start = code.count("\n", 0, at - len(head.lstrip())) + 1
            stack.append((kind, parens))
            parens = 0
            if kind not in ("member", "function") and function_start is None:
                head_start = at + 1
        elif token == "}":
            kind, parens = stack.pop() if stack else ("block", 0)
            if kind == "function":
                yield function_start, code.count("\n", 0, at) + 1
                function_start = None
            if kind != "member":
                head_start = at + 1
        elif parens == 0 and function_start is None and (not stack or stack[-1][0] != "member"):
            head_start = match.end()


def python_functions(text):
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno


def opens_with_comment(path, lines):
    """The first line, or the one after #!, says what the file is for."""
    first = next((line for line in lines if not line.startswith("#!")), "").lstrip()
    if path.endswith(sources.CPP_SUFFIXES):
        return first.startswith(("//", "/*"))
    return first.startswith(("#", '"""', "'''"))


def check_shape(path, text, code):
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not opens_with_comment(path, lines):
        yield path, 1, "opening-comment", "the file does not open by saying its purpose"
    if len(lines) > MAX_FILE_LINES and path.endswith(sources.CPP_SUFFIXES + (".py",)):
        yield path, len(lines), "file-length", f"{len(lines)} lines; at most {MAX_FILE_LINES}"
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_COLUMNS:
            yield path, number, "line-length", f"{len(line)} columns; at most {MAX_LINE_COLUMNS}"
        if "\t" in line:
            yield path, number, "tab", "indent with spaces"
        if line != line.rstrip():
            yield path, number, "trailing-blank", "blanks at the end of the line"
        if match := UNFINISHED.search(line):
            yield path, number, "unfinished", f"{match.group(0)}: finish it, or name it in an issue"
    functions = cpp_functions(code) if code is not None else ()
    if path.endswith(".py"):
        functions = python_functions(text)
    for first, last in functions:
        if last - first + 1 > MAX_FUNCTION_LINES:
            yield (path, first, "function-length",
                   f"{last - first + 1} lines; at most {MAX_FUNCTION_LINES}")


def check_owners(path, text, code):
    # Literals are gone from `code`, so includes with quotes come from the text.
    lines = code.split("\n")
    for number, included, quoted in sources.includes(text):
        lines[number - 1] = f'#include "{included}"' if quoted else f"#include <{included}>"
    for rule, pattern, allowed, way_out in OWNERS:
        if path.startswith(allowed):
            continue
        for number, line in enumerate(lines, 1):
            if match := pattern.search(line):
                found = match.group(0).strip()
                yield path, number, rule, f"`{found}` is not for this file: {way_out}"


def check_mutants(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if match := PLANTED.search(line):
            yield (path, number, "mutant",
                   f"`{match.group(0)}` is not for this file: plant it in a table of "
                   "tests/model/mutants")


def is_checked(path):
    return (path.endswith(sources.CPP_SUFFIXES + (".py", "meson.build", "meson_options.txt"))
            or path in SCRIPTS)


def check_tree(root):
    violations = []
    for path in sources.walk(root):
        if not is_checked(path):
            continue
        text = sources.read(root, path)
        code = sources.code_only(text) if path.endswith(sources.CPP_SUFFIXES) else None
        violations += check_shape(path, text, code)
        if not path.startswith("tests/"):
            violations += check_mutants(path, text)
        if code is not None and path.split("/")[0] in sources.LIBRARY_FOLDERS:
            violations += check_owners(path, text, code)
    return violations


if __name__ == "__main__":
    sys.exit(sources.report(
        check_tree(sys.argv[1] if len(sys.argv) > 1 else sources.repository_root())))
