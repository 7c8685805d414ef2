"""gdb commands for fibers, on live processes and on core files.

    (gdb) source tools/gdb/ramie.py
    (gdb) info fibers                 every fiber: id, state, what it waits for, its innermost frame
    (gdb) fiber 12 bt                 the stack of fiber 12; after `bt` gdb's own arguments
    (gdb) fiber apply all bt          the stacks of all

In core files that gdb's gcore makes, stacks guarded by madvise are missing, because gdb cannot read
a guard and leaves out the memory around it. Use a core file of the kernel, or
RAMIE_STACK_GUARD=mprotect.

jump_fcontext has put the registers of a parked fiber on its stack. An unwinder shows them to gdb as
the caller of frame 0. A running fiber is shown by the thread of its worker. Needs the debug
information of the library; knows x86-64 and AArch64.
"""
import re

import gdb
import gdb.unwinder

NAMESPACE = "ramie::v0::sched::"
STATES = {0: "live", 1: "parked", 2: "woken", 3: "done"}


class Layout:
    """What a switch leaves on the stack of a parked fiber."""

    def __init__(self, saved, pc, sp, sizes):
        self.saved = saved  # registers, by their distance from the end
        self.pc, self.sp = pc, sp  # their names; after the end the caller's stack begins
        self.sizes = sizes  # in bytes, by version of Boost


X86_64 = Layout(
    {"r12": -56, "r13": -48, "r14": -40, "r15": -32, "rbx": -24, "rbp": -16, "rip": -8},
    "rip", "rsp", (0x40, 0x48))
AARCH64 = Layout(
    {**{f"x{n}": 8 * (n - 33) for n in range(19, 31)}, "pc": -16}, "pc", "sp", (0xb0,))


def atomic(value):
    """The plain value inside a std::atomic, whose fields differ by type."""
    for field in value.type.strip_typedefs().fields():
        if field.is_base_class:
            return atomic(value[field])
        if field.name in ("_M_b", "_M_i", "_M_p"):
            inner = value[field]
            return atomic(inner) if field.name == "_M_b" else inner
    raise gdb.GdbError("not a std::atomic: %s" % value.type)


def word_at(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def layout():
    return AARCH64 if gdb.selected_frame().architecture().name() == "aarch64" else X86_64


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Unwinder(gdb.unwinder.Unwinder):
    """While armed (with saved_stack()), the caller of the selected thread's frame 0 is the parked
    fiber."""

    def __init__(self):
        super().__init__("ramie fibers")
        self.end = None

    def __call__(self, frame):
        if self.end is None:
            return None
        (end, kept), self.end = self.end, None
        info = frame.create_unwind_info(
            FrameId(frame.read_register(kept.sp), frame.read_register(kept.pc)))
        word = gdb.lookup_type("unsigned long")
        for name, offset in kept.saved.items():
            info.add_saved_register(name, gdb.Value(word_at(end + offset)).cast(word))
        info.add_saved_register(kept.sp, gdb.Value(end).cast(word))
        return info


class Fiber:
    def __init__(self, value, threads):
        self.value = value
        self.id = int(value["id"])
        self.name = value["name"].string(errors="replace")
        word = int(atomic(value["word"]["word_"]))
        self.state = STATES[word & 3]
        self.thread = threads.get(int(value.address))
        if self.thread is not None:
            self.state = "running"

    def waits_for(self):
        kind = str(atomic(self.value["waits_for"]))
        return kind.rsplit("::", 1)[-1]

    def saved_stack(self):
        """(where its saved registers end, their layout); None if it is not switched out."""
        registers = int(self.value["context"]["registers"])
        if registers == 0 or self.value["stack"] == 0:
            return None
        kept = layout()
        for size in kept.sizes:
            block = gdb.block_for_pc(word_at(registers + size + kept.saved[kept.pc]))
            while block is not None and block.function is None:
                block = block.superblock
            if block is not None and re.search(r"\b(jump_out|switch_out)\b", block.function.name):
                return registers + size, kept
        return None

    def describe(self):
        text = "%6d  %-8s" % (self.id, self.state)
        if self.state == "parked":
            text += "  %-10s" % self.waits_for()
        if self.thread is not None:
            text += "  thread %d" % self.thread.num
        return text + "  '%s'" % self.name

    def execute(self, command):
        if self.thread is not None:
            self.thread.switch()
            gdb.execute(command)
            return
        end = self.saved_stack()
        if end is None:
            print("(in a queue: no stack to show)")
            return
        # The extra frame 0 is the thread's own innermost one: left out of the count and the text.
        command = re.sub(r"(?<=\s)\d+$", lambda n: str(int(n.group()) + 1), command)
        UNWINDER.end = end
        flush()
        try:
            text = gdb.execute(command, to_string=True)
        finally:
            UNWINDER.end = None
            flush()
        if "\n#1 " not in text:
            print("(its stack cannot be read)")
            return
        text = text[text.index("\n#1 "):].lstrip("\n")
        print(re.sub(r"(?m)^#(\d+) +", lambda n: "#%-3d" % (int(n.group(1)) - 1), text), end="")


UNWINDER = Unwinder()


def flush():
    gdb.execute("maint flush register-cache", to_string=True)


def workers():
    """(worker, thread) of every thread that runs fibers."""
    name = "'%s(anonymous namespace)::this_worker'" % NAMESPACE
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
        thread.switch()
        try:
            worker = gdb.parse_and_eval(name)
        except gdb.error:
            continue
        if worker != 0:
            yield worker.dereference(), thread


def fibers():
    before = gdb.selected_thread()
    running, schedulers = {}, {}
    try:
        for worker, thread in workers():
            fiber = int(atomic(worker["running_"]))
            if fiber != 0:
                running[fiber] = thread
            scheduler = worker["scheduler_"].referenced_value()
            schedulers[int(scheduler.address)] = scheduler
    finally:
        if before is not None:
            before.switch()
    if not schedulers:
        raise gdb.GdbError("no thread of this process runs Ramie's fibers (or there is no debug "
                           "information for the library)")
    for scheduler in schedulers.values():
        chunk = atomic(scheduler["slab_"]["chunks_"])
        while chunk != 0:
            block = chunk.dereference()["fibers"]
            first, last = block.type.range()
            for i in range(first, last + 1):
                if int(atomic(block[i]["references"])) != 0:
                    yield Fiber(block[i], running)
            chunk = chunk.dereference()["next"]


def living():
    return sorted((f for f in fibers() if f.state != "done"), key=lambda fiber: fiber.id)


class InfoFibers(gdb.Command):
    """Every fiber of the process: id, state, what it waits for, name."""

    def __init__(self):
        super().__init__("info fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for fiber in living():
            print(fiber.describe())


class FiberCommand(gdb.Command):
    """fiber ID bt [ARGUMENTS], fiber apply all bt [ARGUMENTS]: stacks of fibers."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        match = re.fullmatch(r"(?:apply\s+(all)|(\d+))\s+((?:bt|backtrace|where)\b.*)", argument)
        if match is None:
            raise gdb.GdbError("fiber ID bt, or fiber apply all bt; `info fibers` lists them")
        everybody, wanted, command = match.groups()
        chosen = [f for f in living() if everybody or f.id == int(wanted)]
        if not chosen:
            raise gdb.GdbError("no fiber %s lives" % wanted)
        before = gdb.selected_thread()
        try:
            for fiber in chosen:
                if everybody:
                    print("\nFiber" + fiber.describe())
                fiber.execute(command)
        finally:
            before.switch()


gdb.unwinder.register_unwinder(None, UNWINDER, True)
InfoFibers()
FiberCommand()
