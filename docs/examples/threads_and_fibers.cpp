// Threads and fibers in one program: plain threads start fibers, wait for them and share channels
// with them; a fiber hands a call that blocks to a thread.
#include <ramie/ramie.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
namespace mpsc = ramie::sync::mpsc;

// Reads a file on a thread of the blocking pool; the calling fiber's worker runs others meanwhile.
std::string first_line_of(std::string path) {
  auto read = ramie::spawn_blocking([path = std::move(path)] {
    std::string line;
    std::getline(std::ifstream(path), line);
    return line;
  });
  return ramie::or_throw(read.join());
}

int main() {
  auto runtime = ramie::or_throw(ramie::runtime::Builder().workers(2).build());
  auto channel = mpsc::channel<int>(16);  // a sender and a receiver

  // A thread that is older than the runtime. After it has entered, it may spawn, bind, ...
  std::thread producer([&runtime, sender = std::move(channel.first)]() mutable {
    const auto entered = runtime.enter();
    auto fiber = ramie::spawn([sender]() mutable {
      for (int i = 1; i <= 3 && sender.send(i); ++i) (void)ramie::sleep_for(1ms);
    });
    (void)sender.send(100);  // here a full channel would block the thread
    (void)fiber.join();      // so does this, until the fiber has ended
  });

  // main() runs a function as a fiber and waits for it; so may other threads, at the same time.
  const int sum = runtime.block_on([receiver = std::move(channel.second)]() mutable {
    int total = 0;
    while (auto value = receiver.recv()) total += *value;  // ends when the last sender is gone
    return total;
  });
  producer.join();

  const std::string host = runtime.block_on([] { return first_line_of("/etc/hostname"); });
  std::printf("sum %d, host '%s'\n", sum, host.c_str());
  return sum == 106 ? 0 : 1;
}
