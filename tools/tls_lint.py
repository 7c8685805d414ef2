#!/usr/bin/env python3
"""Finds functions that could keep a thread's address over a park: tls_lint.py FILE.a [FILE.o...]

    materialises   the code forms the address of the thread's block: %fs:0x0 or tpidr_el0,
                   __tls_get_addr, __errno_location, pthread_self, __cxa_get_globals, a
                   thread_local's wrapper, a TLS descriptor
    suspends       the code refers to sched::switch_out, or to a function that does, and so on

A function that does both may use the old thread's errno or thread_local after the fiber has moved
to another thread. On x86-64 plain accesses by %fs:offset are safe, because each computes the
address anew. On AArch64 every access reads tpidr_el0 into a register first, which the compiler may
keep over a call, so every access counts.

It reads the disassembly with relocations, so it needs the compiler's output, not a linked program.
It prints `function: materialises THIS, suspends through THAT`, and exits 1 if there is any, or if
no function suspends (then it has read the wrong files).
"""
import re
import shutil
import subprocess
import sys

SUSPENDS = re.compile(r"10switch_outE")
MATERIALISES = re.compile(
    r"%fs:0x0\b|\btpidr_el0\b"
    r"|\b(?:__tls_get_addr|__errno_location|pthread_self|__cxa_get_globals(?:_fast)?)\b"
    r"|\b_ZT[WH]\w+|R_X86_64_(?:TLSGD|TLSLD|TLSDESC|GOTPC32_TLSDESC)\b"
    r"|R_AARCH64_TLS(?:DESC|GD|LD)_\w+")
MEMBER = re.compile(r"^(\S+):\s+file format")
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
TARGET = re.compile(
    r"\b(?:call|j[a-z]+|bl?|b\.[a-z]+|t?bn?z\s.*,|cbn?z\s.*,)\s*[0-9a-f]+ <([^>+]+)")
RELOCATION = re.compile(r"R_(?:X86_64|AARCH64)_\w+\s+([\w.$@]+?)(?:[-+]0x[0-9a-f]+)?$")
# The first is of this machine's kind, and fails with the code of another.
DISASSEMBLERS = ("objdump", "aarch64-linux-gnu-objdump")
LOCAL = re.compile(r"^_ZL|_GLOBAL__N_")


class Function:
    """What one function refers to, over all its parts and copies."""

    def __init__(self):
        self.calls = set()
        self.materialises = None


def key(member, name):
    """Functions that several files have under one name are told apart by their file."""
    name = re.sub(r"\.(?:cold|part\.\d+|isra\.\d+|constprop\.\d+|localalias)", "", name)
    return f"{member}:{name}" if LOCAL.search(name) else name


def read(disassembly):
    """{key: Function} of objdump's text."""
    functions, member, current = {}, "", None
    for line in disassembly.splitlines():
        if match := MEMBER.match(line):
            member = match.group(1)
        elif match := FUNCTION.match(line):
            current = functions.setdefault(key(member, match.group(1)), Function())
        elif current is not None:
            if current.materialises is None and (match := MATERIALISES.search(line)):
                current.materialises = match.group(0)
            for match in (TARGET.search(line), RELOCATION.search(line)):
                if match:
                    current.calls.add(key(member, match.group(1)))
    return functions


def suspending(functions):
    """{key: through which reference} of all that reach a suspension."""
    through = {name: name for name in functions if SUSPENDS.search(name)}
    callers = {}
    for name, function in functions.items():
        for callee in function.calls:
            callers.setdefault(callee, set()).add(name)
            if SUSPENDS.search(callee):
                through.setdefault(callee, callee)
    waiting = list(through)
    while waiting:
        callee = waiting.pop()
        for caller in callers.get(callee, ()):
            if caller not in through:
                through[caller] = callee
                waiting.append(caller)
    return through


def readable(names):
    """Demangled, in the same order."""
    bare = [name.rsplit(":", 1)[-1] for name in names]
    done = subprocess.run(["c++filt"], input="\n".join(bare), capture_output=True, text=True,
                          check=True)
    return done.stdout.splitlines()


def disassemble(path):
    for program in filter(shutil.which, DISASSEMBLERS):
        done = subprocess.run([program, "-dr", "--no-show-raw-insn", path], capture_output=True,
                              text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    sys.exit(f"tls_lint: no disassembler here reads {path}")


def main(paths):
    functions = {}
    for path in paths:
        for name, function in read(disassemble(path)).items():
            known = functions.setdefault(name, Function())
            known.calls |= function.calls
            known.materialises = known.materialises or function.materialises
    through = suspending(functions)
    if not through:
        print(f"tls_lint: nothing suspends in {' '.join(paths)}: is this the library?")
        return 1
    guilty = sorted(name for name in through
                    if name in functions and functions[name].materialises)
    for name, title, via in zip(guilty, readable(guilty), readable([through[n] for n in guilty])):
        print(f"{title}: materialises {functions[name].materialises}, suspends through {via}")
    print(f"{len(functions)} functions, {len(through)} may suspend, {len(guilty)} at fault")
    return 1 if guilty else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
