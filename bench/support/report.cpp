// See report.hpp.
#include "bench/support/report.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace bench {

namespace {

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// The time that all CPUs were busy, minus the time of this process.
double foreign_seconds() {
  std::ifstream stat("/proc/stat");
  std::string word;
  stat >> word;
  double busy = 0, ticks = 0;
  for (int column = 0; column < 8 && (stat >> ticks); ++column)
    if (column != 3 && column != 4) busy += ticks;  // idle, waiting for a disk
  return busy / static_cast<double>(sysconf(_SC_CLK_TCK)) - own_cpu_seconds();
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const std::size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "unknown CPU";
}

std::string machine() {
  utsname system{};
  (void)uname(&system);
  std::ostringstream text;
  text << sysconf(_SC_NPROCESSORS_ONLN) << " x " << cpu_model() << ", Linux " << system.release;
#if defined(__clang__)
  text << ", clang " << __clang_major__;
#else
  text << ", gcc " << __GNUC__ << '.' << __GNUC_MINOR__;
#endif
#if !defined(__OPTIMIZE__)
  text << ", not optimised";
#endif
  return text.str();
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out += '"';
}

}  // namespace

double own_cpu_seconds() {
  rusage usage{};
  (void)getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

double peak_resident_mib() {
  rusage usage{};
  (void)getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

ForeignCpu::ForeignCpu() : others_(foreign_seconds()), since_(Clock::now()) {}

double ForeignCpu::cores() const {
  const double wall = std::chrono::duration<double>(Clock::now() - since_).count();
  return wall <= 0 ? 0 : std::max(0.0, (foreign_seconds() - others_) / wall);
}

Line::Line(std::string_view bench) : text_("{\"bench\":" + quoted(bench)) {}

void Line::key(std::string_view name) {
  text_ += ',';
  text_ += quoted(name);
  text_ += ':';
}

Line& Line::add(std::string_view name, std::string_view text) {
  key(name);
  text_ += quoted(text);
  return *this;
}

Line& Line::add(std::string_view name, double number) {
  char text[48];
  (void)std::snprintf(text, sizeof text, number < 9.995 ? "%.3f" : "%.1f", number);
  key(name);
  text_ += text;
  return *this;
}

Line& Line::add(std::string_view name, std::uint64_t number) {
  key(name);
  text_ += std::to_string(number);
  return *this;
}

Line& Line::add(std::string_view name, const Spread& spread) {
  const std::string base(name);
  add(base, spread.median);
  add(base + "_low", spread.low);
  return add(base + "_high", spread.high);
}

Line& Line::add(std::string_view prefix, const demo::Histogram& latency) {
  const std::string base(prefix);
  const auto micros = [](std::uint64_t nanos) { return static_cast<double>(nanos) / 1e3; };
  add(base + "_p50_us", micros(latency.quantile(0.5)));
  add(base + "_p90_us", micros(latency.quantile(0.9)));
  add(base + "_p99_us", micros(latency.quantile(0.99)));
  return add(base + "_max_us", micros(latency.max()));
}

void Line::print() {
  add("foreign_cpu", foreign_.cores());
  add("machine", machine());
  std::printf("%s}\n", text_.c_str());
  (void)std::fflush(stdout);
}

}  // namespace bench
