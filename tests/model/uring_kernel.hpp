// The kernel's io_uring for the shipped uring::Site. The checker chooses what it does and when,
// within the Rules.
//
//     push -> submissions -> enter: takes some or all -> operations --end--> completions -> take
//                                                if there is no room \--> overflow
//
// The kernel owns an operation's memory until the final completion, and writes to it at every
// enter.
// Code that releases it before, or makes the kernel use it afterwards, fails the run.
#pragma once

#include "tests/model/cell.hpp"
#include "tests/model/sync.hpp"

#include "uring/ring.hpp"

#include <deque>
#include <vector>

namespace ramie::model {

// What the model's operations do.
enum UringCode : std::uint8_t {
  kRecv = 100,  // ends at any time, perhaps never; can be cancelled
  kDeaf,        // never ends unless it is cancelled
  kRead,        // ends by itself; a cancel has no effect
  kSend,        // without a copy: as kRead, with two completions
  kMany         // gives a result, perhaps more, then as kRecv
};

inline constexpr int kData = 7;  // result without a cancel, and the value in the memory then

class Uring {
 public:
  struct Rules {
    std::size_t entries = 8;      // room for submissions
    std::size_t completions = 8;  // and for completions
    int put_offs = 0;             // enters that may return EAGAIN
    int interrupts = 0;           // waits that may return EINTR
    int denials = 0;              // enters that may be the first denied one, for ever
    int parts = 0;                // enters that may take only the first
    int misses = 0;               // cancels that may miss the operation
    int bell_ends = 0;            // completions of the bell's poll that may be the last
    int ghosts = 0;               // final completions that may come again later
    int many = 2;                 // results of kMany before its last
    bool is_free = false;         // operations end, and the bell is reported, when a visitor looks
    bool is_lazy = false;         // operations end only while the worker sleeps, in order
    bool is_busy = false;         // returns EBUSY while the completion queue overflows
  };

  explicit Uring(const Rules& rules);  // one in a run
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;
  [[nodiscard]] static Uring& current() { return *current_; }

  // --- the model
  // Checks that the kernel no longer has the operation with this memory. Returns its final result,
  // or 0 if the kernel never had it.
  [[nodiscard]] int end_of(const Cell<int>& memory) const;
  [[nodiscard]] bool is_empty() const { return running_.empty(); }
  [[nodiscard]] const std::vector<const Cell<int>*>& taken() const { return taken_; }
  [[nodiscard]] std::uint64_t taken_ghosts() const { return taken_ghosts_; }
  [[nodiscard]] int given() const { return given_; }  // results of kMany

  // The epoll of a shard, if a model has one: `fd` is kShard.
  static constexpr int kShard = 5;
  void set_readable();                  // by any thread
  [[nodiscard]] bool clear_readable();  // by the owner: returns whether it was readable

  // --- uring::Ring
  [[nodiscard]] bool push(const uring::Entry& entry);
  [[nodiscard]] bool take_back(std::uint64_t& tag);
  int enter();
  int enter_and_wait(std::int64_t max_wait);
  [[nodiscard]] bool needs_enter() const;
  [[nodiscard]] bool has_news() const;
  std::size_t take(std::span<uring::Event> events);
  [[nodiscard]] std::size_t completions() const { return rules_.completions; }
  void ring_bell();

 private:
  struct Running {
    uring::Entry entry;
    Cell<int>* memory;
    bool is_half_done = false;  // its result is known, its memory not free
    bool is_doomed = false;     // a cancel has reached it; it ends soon
  };
  struct End {
    const Cell<int>* memory;
    int result;
  };

  [[nodiscard]] bool may(int& budget) { return budget > 0 && choose(2) == 1 && budget-- > 0; }
  [[nodiscard]] bool is_denied();
  int take_submissions();
  void start(const uring::Entry& entry);
  void arm(const uring::Entry& entry);
  void cancel(const uring::Entry& entry);
  void make_progress();
  void pass_time();
  void go_on(std::size_t which);
  void end(std::size_t which, int result);
  void post(const uring::Event& event);
  void flush();
  void touch_all();
  [[nodiscard]] std::vector<std::size_t> able() const;
  [[nodiscard]] bool must_go_on(const Running& it) const;
  [[nodiscard]] bool must_end() const;
  bool tell_polls();
  void sleep(std::int64_t max_wait, int& result);

  static Uring* current_;

  Rules rules_;
  Cell<int> user_{0};  // the user of the ring writes it: one at a time
  Event wire_;         // the bell was rung, or the shard has become readable
  // Invisible to the checker: set in the step that signals, read in the one that has waited.
  bool is_rung_ = false, is_readable_ = false;
  bool was_rung_ = false;                       // the bell is not drained, so it stays readable
  std::uint64_t bell_tag_ = 0, shard_tag_ = 0;  // 0: not armed
  std::deque<uring::Entry> submissions_;
  std::deque<uring::Event> completions_, overflow_;
  std::vector<Running> running_;
  std::vector<std::uint64_t> ghosts_;
  std::uint64_t taken_ghosts_ = 0;
  int given_ = 0;
  bool is_denied_ = false, is_looked_for_ = false;
  std::vector<const Cell<int>*> taken_;
  std::vector<End> ends_;
};

}  // namespace ramie::model
