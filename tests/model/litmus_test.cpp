// Goal: the checker lets a load return everything that C++20 allows, and nothing else.
// Method: the classic litmus programs. Each outcome is forbidden (no run may show it) or allowed
// (some run must show it). The names are those of the literature (SB: store buffering, MP: message
// passing, IRIW: independent reads of independent writes, RWC: read-to-write causality).
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

using namespace ramie::model;

namespace {

constexpr auto kRelaxed = Order::relaxed;
constexpr auto kAcquire = Order::acquire;
constexpr auto kRelease = Order::release;
constexpr auto kAcqRel = Order::acq_rel;
constexpr auto kSeqCst = Order::seq_cst;

// Returns true if some run of `body` reaches check(false), so the outcome that it names is allowed.
bool allows(const std::function<void()>& body) {
  const Result result = explore(body, {.preemptions = -1});
  REQUIRE((result.exhausted || !result.ok));
  return !result.ok;
}

void forbid(bool outcome) { check(!outcome, "the outcome"); }

void store_buffering(Order store, Order load, bool fences) {
  Atomic<int> x{0}, y{0};
  int a = 1, b = 1;
  {
    Thread one([&] {
      x.store(1, store);
      if (fences) fence(kSeqCst);
      a = y.load(load);
    });
    Thread two([&] {
      y.store(1, store);
      if (fences) fence(kSeqCst);
      b = x.load(load);
    });
  }
  forbid(a == 0 && b == 0);
}

void message_passing(Order store, Order load) {
  Atomic<int> flag{0};
  Cell<int> data{0};
  Thread sender([&] {
    data = 42;
    flag.store(1, store);
  });
  Thread receiver([&] {
    if (flag.load(load) == 1) forbid(data.get() != 42);
  });
}

// Two threads write x and y. Do two readers see the writes in opposite orders?
void independent_reads(Order store, Order load, bool fences) {
  Atomic<int> x{0}, y{0};
  int seen[4] = {};
  {
    Thread one([&] { x.store(1, store); });
    Thread two([&] { y.store(1, store); });
    Thread three([&] {
      seen[0] = x.load(load);
      if (fences) fence(kSeqCst);
      seen[1] = y.load(load);
    });
    Thread four([&] {
      seen[2] = y.load(load);
      if (fences) fence(kSeqCst);
      seen[3] = x.load(load);
    });
  }
  forbid(seen[0] == 1 && seen[1] == 0 && seen[2] == 1 && seen[3] == 0);
}

}  // namespace

TEST_CASE("Litmus SB: both loads miss both stores unless all is seq_cst or fenced") {
  CHECK(allows([] { store_buffering(kRelaxed, kRelaxed, false); }));
  CHECK(allows([] { store_buffering(kRelease, kAcquire, false); }));
  CHECK(allows([] { store_buffering(kSeqCst, kAcquire, false); }));
  CHECK(allows([] { store_buffering(kRelease, kSeqCst, false); }));
  CHECK_FALSE(allows([] { store_buffering(kSeqCst, kSeqCst, false); }));
  CHECK_FALSE(allows([] { store_buffering(kRelaxed, kRelaxed, true); }));
}

TEST_CASE("Litmus SB: a fence on one side pairs with a seq_cst store and load on the other") {
  const auto program = [](Order store, Order load) {
    Atomic<int> x{0}, y{0};
    int a = 1, b = 1;
    {
      Thread fenced([&] {
        x.store(1, kRelaxed);
        fence(kSeqCst);
        a = y.load(kRelaxed);
      });
      Thread other([&] {
        y.store(1, store);
        b = x.load(load);
      });
    }
    forbid(a == 0 && b == 0);
  };
  CHECK(allows([&] { program(kRelease, kAcquire); }));
  CHECK(allows([&] { program(kSeqCst, kAcquire); }));
  CHECK(allows([&] { program(kRelease, kSeqCst); }));
  CHECK_FALSE(allows([&] { program(kSeqCst, kSeqCst); }));
}

TEST_CASE("Litmus SB: an acquire-release read-modify-write of another word is no fence") {
  CHECK(allows([] {
    Atomic<int> x{0}, y{0};
    int a = 1, b = 1;
    {
      Thread one([&] {
        x.exchange(1, kAcqRel);
        a = y.load(kAcquire);
      });
      Thread two([&] {
        y.exchange(1, kAcqRel);
        b = x.load(kAcquire);
      });
    }
    forbid(a == 0 && b == 0);
  }));
}

TEST_CASE("Litmus MP: data travel with release and acquire, not with relaxed accesses") {
  CHECK(allows([] { message_passing(kRelaxed, kRelaxed); }));
  CHECK(allows([] { message_passing(kRelease, kRelaxed); }));
  CHECK(allows([] { message_passing(kRelaxed, kAcquire); }));
  CHECK_FALSE(allows([] { message_passing(kRelease, kAcquire); }));
  CHECK_FALSE(allows([] { message_passing(kSeqCst, kSeqCst); }));
}

TEST_CASE("Litmus MP: a release fence before and an acquire fence after do the same") {
  const auto program = [](bool release, bool acquire) {
    Atomic<int> flag{0};
    Cell<int> data{0};
    Thread sender([&] {
      data = 42;
      if (release) fence(kRelease);
      flag.store(1, kRelaxed);
    });
    Thread receiver([&] {
      if (flag.load(kRelaxed) == 0) return;
      if (acquire) fence(kAcquire);
      forbid(data.get() != 42);
    });
  };
  CHECK(allows([&] { program(false, true); }));
  CHECK(allows([&] { program(true, false); }));
  CHECK_FALSE(allows([&] { program(true, true); }));
}

TEST_CASE("Litmus MP: a write after the release is not published by it") {
  CHECK(allows([] {
    Atomic<int> flag{0};
    Cell<int> data{0};
    Thread sender([&] {
      flag.store(1, kRelease);
      data = 42;
    });
    Thread receiver([&] {
      if (flag.load(kAcquire) == 1) forbid(data.get() == 1);
    });
  }));
}

TEST_CASE("Litmus release sequence: a relaxed RMW carries it on, a plain store ends it") {
  const auto program = [](bool update) {
    Atomic<int> flag{0};
    Cell<int> data{0};
    Thread one([&] {
      data = 1;
      flag.store(1, kRelease);
    });
    Thread two([&] {
      if (update) {
        flag.fetch_add(1, kRelaxed);
      } else if (flag.load(kRelaxed) == 1) {
        flag.store(2, kRelaxed);
      }
    });
    Thread three([&] {
      if (flag.load(kAcquire) == 2) forbid(data.get() != 1);
    });
  };
  CHECK_FALSE(allows([&] { program(true); }));
  CHECK(allows([&] { program(false); }));
}

TEST_CASE("Litmus coherence: reads of one location never go back, by the same thread or after it") {
  CHECK_FALSE(allows([] {
    Atomic<int> x{0};
    Thread writer([&] {
      x.store(1, kRelaxed);
      x.store(2, kRelaxed);
    });
    Thread reader([&] {
      const int first = x.load(kRelaxed);
      forbid(x.load(kRelaxed) < first);
    });
  }));
  CHECK_FALSE(allows([] {
    Atomic<int> x{0}, told{0};
    Thread writer([&] { x.store(1, kRelaxed); });
    Thread reader([&] { told.store(1 + x.load(kRelaxed), kRelease); });
    Thread second([&] {
      if (told.load(kAcquire) == 2) forbid(x.load(kRelaxed) == 0);
    });
  }));
}

TEST_CASE("Litmus IRIW: readers agree on the order of two stores only with seq_cst") {
  CHECK(allows([] { independent_reads(kRelease, kAcquire, false); }));
  CHECK(allows([] { independent_reads(kSeqCst, kAcquire, false); }));
  CHECK_FALSE(allows([] { independent_reads(kSeqCst, kSeqCst, false); }));
  CHECK_FALSE(allows([] { independent_reads(kRelaxed, kRelaxed, true); }));
}

TEST_CASE("Litmus RWC: a fenced reader and a fenced writer agree, an unfenced reader does not") {
  const auto program = [](bool fenced_reader) {
    Atomic<int> x{0}, y{0};
    int a = 0, b = 1, c = 1;
    {
      Thread one([&] { x.store(1, kRelease); });
      Thread two([&] {
        a = x.load(kAcquire);
        if (fenced_reader) fence(kSeqCst);
        b = y.load(kRelaxed);
      });
      Thread three([&] {
        y.store(1, kRelaxed);
        fence(kSeqCst);
        c = x.load(kRelaxed);
      });
    }
    forbid(a == 1 && b == 0 && c == 0);
  };
  CHECK(allows([&] { program(false); }));
  CHECK_FALSE(allows([&] { program(true); }));
}

TEST_CASE("Litmus fences: their order is felt through happens-before, past the fencing thread") {
  // The fence of `one` happens before the load in `two`, by the release store to `told`.
  CHECK_FALSE(allows([] {
    Atomic<int> x{0}, y{0}, told{0};
    int a = 0, b = 1, c = 1;
    {
      Thread one([&] {
        x.store(1, kRelaxed);
        fence(kSeqCst);
        told.store(1, kRelease);
      });
      Thread two([&] {
        a = told.load(kAcquire);
        b = y.load(kRelaxed);
      });
      Thread three([&] {
        y.store(1, kRelaxed);
        fence(kSeqCst);
        c = x.load(kRelaxed);
      });
    }
    forbid(a == 1 && b == 0 && c == 0);
  }));
}

TEST_CASE("Litmus fences: two seq_cst fences in order do not make plain data safe") {
  const Result result = explore([] {
    Cell<int> data{0};
    bool passed = false;  // invisible to the checker: it orders nothing
    Thread one([&] {
      data = 1;
      fence(kSeqCst);
      passed = true;
    });
    Thread two([&] {
      fence(kSeqCst);
      if (passed) (void)data.get();
    });
  });
  CHECK_FALSE(result.ok);
  CHECK(result.why.find("data race") != std::string::npos);
}

TEST_CASE("Litmus fences: a fence that comes later than the other's look promises nothing") {
  // Only the order of the two fences (or of the fence and the seq_cst load) decides, so DPOR must
  // try both.
  const auto program = [](bool fenced_reader, Order load) {
    Atomic<int> x{0}, flag{0};
    int a = 0, b = 1;
    {
      Thread writer([&] {
        x.store(1, kRelaxed);
        flag.store(1, kRelaxed);
        fence(kSeqCst);
      });
      Thread reader([&] {
        a = flag.load(kRelaxed);
        if (fenced_reader) fence(kSeqCst);
        b = x.load(load);
      });
    }
    forbid(a == 1 && b == 0);
  };
  CHECK(allows([&] { program(true, kRelaxed); }));
  CHECK(allows([&] { program(false, kSeqCst); }));
}
