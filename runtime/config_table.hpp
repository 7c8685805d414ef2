// Every RAMIE_* variable, one row each.
//
//   RAMIE_KNOB(variable, type, member of Config, default, details...)
//
// How to add one:
//   1. Add a row. It declares the variable, its member of Config, its Field, its default, its range
//      and its text. The parser, the messages, RAMIE_HELP, `ramie env` and docs/environment.md read
//      the row. The type decides the accepted form (kind_of() in config_row.hpp).
//   2. If programs set it in code, too: declare a setter in Builder (include/ramie/runtime.hpp) and
//      define it in one line in builder.cpp.
//   3. Read `config.member` where the value acts, usually in state.cpp.
//   4. Add a value that is not the default to other_values() in tests/runtime/config_test.cpp, and
//      run `ramie env --markdown > docs/environment.md` and `ramie env --man >
//      docs/man/ramie-env.7`.
//
// The details are members of Row: `min` and `max` in the raw unit (config_row.hpp), `below` and
// `above`, `zero_is_off`, `whole_pages`, `automatic`, `words`, `example`, `effect`.
//
// config.hpp and config_row.hpp include this file several times, each with its own RAMIE_KNOB.
#ifndef RAMIE_KNOB
#error "include runtime/config_row.hpp instead"
#endif

RAMIE_KNOB("RAMIE_WORKERS", unsigned, workers, 0, .min = 1, .max = kMaxWorkers,
           .above = Outside::clamp, .automatic = "auto", .example = "4",
           .effect =
               "The number of worker threads. `auto`: the number of CPUs in the affinity "
               "mask, or the cgroup's CPU quota rounded up if that is less.")

RAMIE_KNOB("RAMIE_CPU_QUOTA", bool, cpu_quota, true,
           .effect =
               "Whether `RAMIE_WORKERS=auto` respects the cgroup's CPU quota. With `off` "
               "Ramie opens no file in `/proc` or `/sys` to find the quota; some confined "
               "programs need that.")

RAMIE_KNOB("RAMIE_AFFINITY", Affinity, affinity, Affinity::none, .words = "none|spread|compact",
           .effect =
               "Pins each worker to a CPU of the process's affinity mask. `spread` takes "
               "CPUs that are far apart, `compact` takes the first ones. The kernel then "
               "never queues one worker behind another that computes. Do not use it if "
               "other programs use the same CPUs.")

RAMIE_KNOB("RAMIE_IO_SHARDS", unsigned, io_shards, 0, .min = 1, .max = 64, .automatic = "auto",
           .example = "2",
           .effect =
               "The number of epoll instances. `auto`: one for up to 8 workers, then one "
               "for every 8.")

RAMIE_KNOB("RAMIE_EVENT_INTERVAL", unsigned, event_interval, 61, .min = 1, .max = 65536,
           .example = "61",
           .effect =
               "A busy worker checks I/O events and timers after this many fiber switches, "
               "and about every 100 us in any case.")

RAMIE_KNOB("RAMIE_GLOBAL_INTERVAL", unsigned, global_interval, 0, .min = 1, .max = 65536,
           .automatic = "auto", .example = "31",
           .effect =
               "A busy worker takes a fiber from the shared injection queue after this "
               "many switches, and after about 100 us in any case. It never takes two in a "
               "row while other fibers wait.")

RAMIE_KNOB("RAMIE_BUDGET", unsigned, budget, 128, .max = 65536, .example = "128",
           .effect =
               "A fiber yields after it has completed this many operations without "
               "waiting, and after about 100 us in any case. 0: only the time counts.")

RAMIE_KNOB("RAMIE_SPIN_US", std::optional<std::chrono::microseconds>, spin, std::nullopt,
           .max = 1000, .below = Outside::clamp, .above = Outside::clamp, .automatic = "auto",
           .example = "20",
           .effect =
               "How long an idle worker polls before it sleeps. `auto`: it does not poll. "
               "A number helps only if cores are idle and the microseconds of a wake-up "
               "matter.")

RAMIE_KNOB("RAMIE_BLOCKING_THREADS", unsigned, blocking_threads, 512, .min = 1, .max = 32768,
           .below = Outside::clamp, .above = Outside::clamp, .example = "512",
           .effect = "The most threads in the pool for blocking calls.")

RAMIE_KNOB("RAMIE_BLOCKING_KEEPALIVE", std::chrono::nanoseconds, blocking_keepalive,
           std::chrono::seconds(10), .max = kHour, .example = "10s",
           .effect = "An idle thread of that pool ends after this time.")

RAMIE_KNOB("RAMIE_STACK_SIZE", std::size_t, stack_size, 256 * kKiB, .min = 16 * kKiB, .max = kGiB,
           .below = Outside::clamp, .above = Outside::clamp, .whole_pages = true, .example = "256K",
           .effect =
               "The address space of a fiber's stack. Only the pages that the fiber "
               "touches take memory.")

RAMIE_KNOB("RAMIE_STACK_GUARD", StackGuard, stack_guard, StackGuard::automatic,
           .words = "auto|madvise|mprotect|off",
           .effect =
               "How the guard at the end of a stack is made. `madvise` needs Linux 6.13. "
               "`mprotect` costs two mappings a stack, which allows about 14,700 fibers "
               "with the usual `vm.max_map_count`.")

RAMIE_KNOB("RAMIE_STACK_CACHE", std::size_t, stack_cache, 64 * kMiB, .max = 16 * kGiB,
           .example = "64M",
           .effect =
               "Ramie keeps free stacks of up to this size in total for reuse and returns "
               "the rest to the kernel.")

RAMIE_KNOB("RAMIE_SEED", std::optional<std::uint64_t>, seed, std::nullopt, .automatic = "random",
           .example = "0x5eed", .effect = "The seed of the scheduler's random choices.")

RAMIE_KNOB("RAMIE_WATCH_US", std::chrono::microseconds, watch, std::chrono::microseconds(500),
           .min = 50, .max = 100'000, .below = Outside::clamp, .above = Outside::clamp,
           .zero_is_off = true, .example = "500",
           .effect =
               "While some workers run fibers, one sleeping worker wakes at this interval "
               "and looks for unattended fibers and I/O.")

RAMIE_KNOB("RAMIE_NOTIFY_LAZY_US", std::optional<std::chrono::microseconds>, notify_lazy,
           std::nullopt, .max = 10'000, .below = Outside::clamp, .above = Outside::clamp,
           .automatic = "auto", .example = "50",
           .effect =
               "A worker wakes another one when a fiber has waited in its queue for this "
               "time. 0: at once.")

RAMIE_KNOB("RAMIE_ROOT_STACK_SIZE", std::size_t, root_stack_size, kMiB, .min = 64 * kKiB,
           .max = kGiB, .below = Outside::clamp, .above = Outside::clamp, .whole_pages = true,
           .example = "1M",
           .effect = "The address space of the stack on which `block_on` runs its function.")

RAMIE_KNOB("RAMIE_LIFO", unsigned, lifo, 3, .max = 64, .below = Outside::clamp,
           .above = Outside::clamp, .example = "3",
           .effect =
               "A worker runs at most this many fibers in a row from its last-in slot "
               "before it takes one from its queue. 0: there is no such slot.")

RAMIE_KNOB("RAMIE_DRAIN_TIMEOUT", std::chrono::nanoseconds, drain_timeout, std::chrono::seconds(30),
           .max = kHour, .example = "30s",
           .effect = "How long a graceful shutdown waits for fibers to end.")

RAMIE_KNOB("RAMIE_UNHANDLED", Unhandled, unhandled, Unhandled::report, .words = "report|abort",
           .effect =
               "What Ramie does with an exception that leaves a detached fiber: print it, "
               "or abort the program.")

RAMIE_KNOB("RAMIE_STALL_MS", unsigned, stall_ms, 1000, .min = 10, .max = 60'000,
           .below = Outside::clamp, .above = Outside::clamp, .zero_is_off = true, .example = "1000",
           .effect =
               "Ramie reports a fiber that has kept its worker for this many milliseconds, "
               "with its stack and the system call that it is in. It reports the fiber "
               "again after twice that time.")

RAMIE_KNOB("RAMIE_DEADLOCK", Deadlock, deadlock, Deadlock::report, .words = "off|report|abort",
           .effect =
               "What Ramie does when all fibers wait for each other and no timer, "
               "descriptor, signal or thread can wake them. `report` prints a dump and a "
               "message; `abort` then also aborts the program.")

RAMIE_KNOB("RAMIE_DUMP_SIGNAL", DumpSignal, dump_signal, DumpSignal::quit,
           .words = "none|QUIT|USR1|USR2",
           .effect =
               "On this signal Ramie prints every fiber with its state and stack to "
               "stderr. Ramie leaves the signal alone if the program has set a handler for "
               "it, or ignores it, when it builds its first runtime. (It does not count if "
               "the program's parent, such as a shell script, started it with the signal "
               "ignored.)")

RAMIE_KNOB("RAMIE_IO", IoBackend, io, IoBackend::automatic, .words = "auto|epoll|uring",
           .effect =
               "Whether io_uring is used. `auto`: for files and operations of `uring::submit`, "
               "if the kernel allows it. `epoll`: never, unless `RAMIE_FS` asks for it. "
               "`uring`: as `auto`, but building a runtime fails if it is not available. "
               "Sockets always use epoll.")

RAMIE_KNOB("RAMIE_FS", FileBackend, fs, FileBackend::automatic, .words = "auto|uring|pool",
           .effect =
               "Where a file operation runs that the kernel cannot answer from its caches. "
               "`auto`: on io_uring if it is available. `uring`: on io_uring; if it is not "
               "available, building a runtime fails. `pool`: on threads of the blocking "
               "pool. Operations that io_uring does not have always use the pool.")

RAMIE_KNOB("RAMIE_URING_ENTRIES", unsigned, uring_entries, 256, .min = 8, .max = 32'768,
           .below = Outside::clamp, .above = Outside::clamp, .example = "256",
           .effect =
               "The number of submissions in a worker's ring, rounded up to a power of "
               "two. The ring holds four times as many completions. Both are smaller if "
               "RLIMIT_MEMLOCK requires it.")

RAMIE_KNOB("RAMIE_URING_FLAGS", UringMode, uring_mode, UringMode::automatic,
           .words = "auto|coop|none",
           .effect =
               "How completions reach their worker. `auto`: in the best way that the "
               "kernel supports. `coop` and `none`: in no better way than that one.")

RAMIE_KNOB("RAMIE_CHAOS", std::optional<std::uint64_t>, chaos, std::nullopt, .automatic = "off",
           .example = "42",
           .effect =
               "A test mode; the value is its seed. Fibers migrate at every park, queues "
               "act as if they were full, workers delay and wake up for no reason, and "
               "budgets are tiny. A correct program stays correct and becomes slower.")

RAMIE_KNOB("RAMIE_CHECKS", Checks, checks, Checks::automatic, .words = "auto|on|off",
           .effect =
               "`on`: a fiber that waits while it holds a `std::mutex`, in the initializer "
               "of a static or in a signal handler stops the program with a message and "
               "both stacks. Each lock and each wait then costs microseconds. `auto`: `on` "
               "only in builds of Ramie with assertions. Once it is on, it stays on in all "
               "runtimes of the process.")

RAMIE_KNOB("RAMIE_STRICT", bool, strict, false,
           .effect = "Makes bad values and unknown `RAMIE_*` names errors instead of warnings.")

RAMIE_KNOB("RAMIE_HELP", Help, help, Help::off, .words = "exit",
           .effect =
               "Prints this list to stderr. The program then continues (`on`) or ends "
               "(`exit`).")

#undef RAMIE_KNOB
