// Goal: a worker's run queue loses no element and gives none out twice, whatever pushes, pops,
// steals and overflows happen. What was written before a push is seen after the take.
// Method: the shipped RunQueue with four slots. Every taker writes the plain `taken` counter of an
// element, so a second taker, or one that is not ordered after the push, is a data race.
#include "sched/run_queue.hpp"
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <span>

using namespace ramie::model;

namespace {

struct Element {
  Cell<int> taken{0};
};

using Queue = ramie::sched::RunQueue<Element, 4>;

template <std::size_t kCount>
struct Elements {
  std::array<Element, kCount> all;

  // Pushes elements [first, last). What overflows is taken at once, as the injector does.
  void push(Queue& queue, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      all[i].taken = 0;
      queue.push(&all[i], [](std::span<Element*> batch) {
        for (Element* element : batch) take(element);
      });
    }
  }

  static void take(Element* element) {
    check(element != nullptr, "an empty slot was taken");
    element->taken = element->taken + 1;
  }

  static void drain(Queue& queue) {
    while (Element* element = queue.pop()) take(element);
  }

  static void steal(Queue& victim, Queue& own) {
    if (Element* element = victim.steal_into(own)) take(element);
  }

  // Called at the end by a thread that is ordered after all takers.
  void expect_each_taken_once() const {
    for (const Element& element : all) check(element.taken == 1, "taken twice, or lost");
  }
};

}  // namespace

TEST_CASE("RunQueue model: push, pop, overflow and one thief conserve the elements") {
  check_model("run queue: overflow against a thief", [] {
    Elements<6> elements;
    Queue queue, other;
    {
      Thread thief([&] {
        elements.steal(queue, other);
        elements.steal(queue, other);
        elements.drain(other);
      });
      elements.push(queue, 0, 5);
      if (Element* element = queue.pop()) elements.take(element);
      elements.push(queue, 5, 6);
      elements.drain(queue);
    }
    elements.expect_each_taken_once();
  }, Mutants{51, 52, 53, 54, 55, 56, 57}, {.preemptions = 3});
}

TEST_CASE("RunQueue model: two thieves and the owner never take the same element") {
  check_model("run queue: two thieves", [] {
    Elements<4> elements;
    Queue queue, second, third;
    {
      Thread one([&] {
        elements.steal(queue, second);
        elements.drain(second);
      });
      Thread two([&] {
        elements.steal(queue, third);
        elements.drain(third);
      });
      elements.push(queue, 0, 4);
      elements.drain(queue);
    }
    elements.expect_each_taken_once();
  }, Mutants{54, 57}, {.preemptions = 2});
}

TEST_CASE("RunQueue model: loot can be stolen again from the thief's own queue") {
  check_model("run queue: a thief is robbed", [] {
    Elements<4> elements;
    Queue queue, second, third;
    elements.push(queue, 0, 4);
    {
      Thread one([&] {
        elements.steal(queue, second);
        elements.drain(second);
      });
      Thread two([&] {
        elements.steal(second, third);
        elements.drain(third);
      });
      elements.drain(queue);
    }
    elements.expect_each_taken_once();
  }, Mutants{58}, {.preemptions = 3});
}

TEST_CASE("RunQueue model: a batch shows up whole, and what does not fit stays with the pusher") {
  check_model("run queue: batch", [] {
    Elements<6> elements;
    Queue queue, other;
    {
      Thread thief([&] {
        elements.steal(queue, other);
        elements.drain(other);
      });
      elements.push(queue, 0, 1);
      std::array<Element*, 5> batch{};
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i] = &elements.all[i + 1];
      for (std::size_t pushed = 0; pushed < batch.size();) {
        pushed += queue.push_batch(std::span<Element* const>(batch).subspan(pushed));
        if (Element* element = queue.pop()) {
          elements.take(element);
        } else {
          yield();  // the thief is still copying
        }
      }
      elements.drain(queue);
    }
    elements.expect_each_taken_once();
  }, Mutants{59}, {.preemptions = 3});
}
