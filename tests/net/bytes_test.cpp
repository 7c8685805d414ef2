// Goal: functions that take bytes also take text, and functions that fill bytes also fill text.
// or_throw() takes results that have a name.
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/fs.hpp>
#include <ramie/net/uring.hpp>

#include <array>
#include <catch2/catch.hpp>
#include <concepts>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace ramie_test;
using namespace std::string_view_literals;
using ramie::Result;

std::string text_of(std::span<const std::byte> some) {
  return {reinterpret_cast<const char*>(some.data()), some.size()};
}
template <class T>
std::string in(T&& text) {
  return text_of(ramie::detail::bytes_in(std::forward<T>(text)));
}

}  // namespace

TEST_CASE("Bytes: each kind of text is taken whole, a literal without its terminating 0") {
  std::string text = "abc";
  const char* pointer = "abc";
  const std::vector<char> vector{'a', 'b', 'c'};
  std::array<unsigned char, 3> array{'a', 'b', 'c'};
  const unsigned char plain[] = {'a', 'b', 'c'};
  CHECK(in("abc") == "abc");
  CHECK(in(text) == "abc");
  CHECK(in(std::string("abc")) == "abc");
  CHECK(in(std::string_view("abc")) == "abc");
  CHECK(in(pointer) == "abc");
  CHECK(in(vector) == "abc");
  CHECK(in(array) == "abc");
  CHECK(in(plain) == "abc");
  CHECK(in(std::span(text).first(2)) == "ab");
  CHECK(in("a\0b"sv).size() == 3);
  CHECK(in("") == "");
  static_assert(!ramie::detail::CharsIn<std::span<const std::byte>>);
  static_assert(!ramie::detail::CharsIn<std::vector<std::byte>&>);
  static_assert(!ramie::detail::CharsIn<int>);
  static_assert(!ramie::detail::CharsIn<std::vector<int>&>);
  static_assert(ramie::detail::CharsOut<char(&)[4]>);
  static_assert(ramie::detail::CharsOut<std::span<char>>);
  static_assert(ramie::detail::CharsOut<std::string&>);
  static_assert(!ramie::detail::CharsOut<const std::string&>);
  static_assert(!ramie::detail::CharsOut<std::string_view>);
}

TEST_CASE("TcpStream: writes text and reads into text") {
  in_runtime(2, [] {
    auto [near, far] = tcp_pair();
    char buffer[64];
    const auto heard = [&](std::size_t size) {
      REQUIRE(far.read_exact(std::span(buffer).first(size)).has_value());
      return std::string(buffer, size);
    };
    REQUIRE(near.write_all("text\n").has_value());
    CHECK(heard(5) == "text\n");
    std::string line = "a line\n";
    CHECK(near.write(line).value() == 7);
    CHECK(far.peek(buffer).value() >= 1);
    std::string out(7, '\0');
    REQUIRE(far.read_exact(out).has_value());
    CHECK(out == line);
    const std::array<std::string_view, 3> parts{"one", "", "two"};
    CHECK(near.write_vectored(parts).value() == 6);
    CHECK(heard(6) == "onetwo");
    CHECK(ramie::net::send_zero_copy(near, "zero").value() == 4);
    std::string first(1, '\0'), second(8, '\0');
    const std::array<std::span<char>, 2> rooms{first, second};
    CHECK(far.read_vectored(rooms).value() == 4);
    CHECK(first + second.substr(0, 3) == "zero");
    std::vector<char> vector{'x'};
    CHECK(near.write_all(vector).has_value());
    CHECK(far.read(vector).value() == 1);
    const std::vector<std::byte> bytes_too(3, std::byte{'b'});
    CHECK(near.write_all(bytes_too).has_value());
    std::array<std::byte, 3> byte_room;
    CHECK(far.read_exact(byte_room).has_value());
  });
}

TEST_CASE("fs: writes text and reads into text") {
  const std::string name =
      (std::filesystem::temp_directory_path() / ("ramie-bytes-" + std::to_string(::getpid())))
          .string();
  in_runtime(2, [&] {
    namespace fs = ramie::fs;
    REQUIRE(fs::write(name, "one ").has_value());
    REQUIRE(fs::append(name, std::string("two ")).has_value());
    REQUIRE(fs::append(name, std::vector<char>{'3'}).has_value());
    CHECK(fs::read_to_string(name).value() == "one two 3");
    auto file = ramie::or_throw(fs::OpenOptions().read(true).write(true).open(name));
    char buffer[16];
    CHECK(file.read(buffer).value() == 9);
    CHECK(file.write(" four").value() == 5);
    CHECK(file.write_all(" five").has_value());
    CHECK(file.write_at("ONE", 0).value() == 3);
    CHECK(file.write_all_at("TWO", 4).has_value());
    CHECK(file.read_at(buffer, 0).value() >= 8);
    CHECK(std::string_view(buffer, 8) == "ONE TWO ");
    std::string exact(4, '\0');
    CHECK(file.read_exact_at(exact, 10).has_value());
    CHECK(exact == "four");
    const std::array<std::string_view, 2> parts{"a", "b"};
    CHECK(file.write_vectored_at(parts, 0).value() == 2);
    CHECK(file.write_vectored(parts).value() == 2);
    std::string one(1, '\0'), other(1, '\0');
    const std::array<std::span<char>, 2> rooms{one, other};
    CHECK(file.read_vectored_at(rooms, 0).value() == 2);
    CHECK(one + other == "ab");
    REQUIRE(file.seek(0).has_value());
    CHECK(file.read_vectored(rooms).value() == 2);
    CHECK(file.read_exact(exact).has_value());
    CHECK(exact == "E TW");
  });
  std::filesystem::remove(name);
}

TEST_CASE("or_throw: an lvalue result keeps its value, an rvalue result gives it away") {
  Result<std::unique_ptr<int>> named = std::make_unique<int>(7);
  CHECK(*ramie::or_throw(named) == 7);
  static_assert(std::same_as<decltype(ramie::or_throw(named)), std::unique_ptr<int>&>);
  const auto& fixed = named;
  CHECK(*ramie::or_throw(fixed) == 7);
  auto taken = ramie::or_throw(std::move(named));
  CHECK(*taken == 7);
  Result<void> nothing;
  ramie::or_throw(nothing);
  ramie::or_throw(std::as_const(nothing));
  Result<int> bad = ramie::failure(ramie::errc::closed);
  CHECK_THROWS_AS(ramie::or_throw(bad), std::system_error);
  nothing = ramie::failure(ramie::errc::closed);
  CHECK_THROWS_AS(ramie::or_throw(nothing), std::system_error);
}
