// A doubly linked list whose links are in its elements: O(1) unlink, no allocation. It stops the
// program on misuse.
//
// Not synchronised: each list has a mutex beside it (F4).
#pragma once

#include "sched/base/assert.hpp"
#include "sched/base/atomic.hpp"

#include <cstddef>

namespace ramie::inline v0::base {

class Link {
 public:
  Link() noexcept = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() {
    RAMIE_CHECK(!is_linked(),
                "a list element was destroyed while linked: a waiter left its frame?");
  }

  bool is_linked() const noexcept { return next_ != nullptr; }

 private:
  template <class T>
  friend class List;

  void insert_before(Link& position) noexcept {
    RAMIE_CHECK(!is_linked(), "a list element was linked twice");
    next_ = &position;
    prev_ = position.prev_;
    position.prev_->next_ = this;
    position.prev_ = this;
  }
  void unlink() noexcept {
    RAMIE_CHECK(is_linked(), "a list element was unlinked twice");
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

  Plain<Link*> next_ = nullptr;
  Plain<Link*> prev_ = nullptr;
};

// T derives from Link.
template <class T>
class List {
 public:
  List() noexcept { head_.next_ = head_.prev_ = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    // What a fiber that was left behind has linked here stays linked for ever, since it never runs
    // again.
    if constexpr (requires(const T& one) { is_left_behind(one); }) {
      for (T* one = front(); one != nullptr;) {
        T* after = next(*one);
        if (is_left_behind(*one)) erase(*one);
        one = after;
      }
    }
    RAMIE_CHECK(is_empty(),
                "a Mutex, channel or other object was destroyed while somebody waits in it");
    head_.next_ = head_.prev_ = nullptr;
  }

  bool is_empty() const noexcept { return head_.next_ == &head_; }
  T* front() noexcept {
    Link* first = head_.next_;
    return first == &head_ ? nullptr : static_cast<T*>(first);
  }
  const T* front() const noexcept {
    const Link* first = head_.next_;
    return first == &head_ ? nullptr : static_cast<const T*>(first);
  }
  // The element after `element`, or null.
  const T* next(const T& element) const noexcept {
    const Link* link = static_cast<const Link&>(element).next_;
    return link == &head_ ? nullptr : static_cast<const T*>(link);
  }
  T* next(T& element) noexcept {
    Link* link = static_cast<Link&>(element).next_;
    return link == &head_ ? nullptr : static_cast<T*>(link);
  }

  void push_back(T& element) noexcept { static_cast<Link&>(element).insert_before(head_); }
  void push_front(T& element) noexcept { static_cast<Link&>(element).insert_before(*head_.next_); }
  void erase(T& element) noexcept { unlink(element); }
  // For a caller that knows only that the element is in some list, and holds the lock of that list.
  static void unlink(T& element) noexcept { static_cast<Link&>(element).unlink(); }
  T* pop_front() noexcept {
    T* first = front();
    if (first != nullptr) erase(*first);
    return first;
  }
  // Moves all elements of `other` to the end of this list.
  void splice_back(List& other) noexcept {
    while (T* element = other.pop_front()) push_back(*element);
  }

 private:
  Link head_;
};

}  // namespace ramie::inline v0::base
