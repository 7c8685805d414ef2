// Names that exist on every machine, whatever /etc/hosts and DNS contain. This program defines
// getaddrinfo(): it answers names that end in ".test" and asks the C library for the others.
//
//     one.test    127.0.0.1
//     both.test   ::1, then 127.0.0.1
//     none.test   there is no such host
//     later.test  the name server does not answer now
#include <dlfcn.h>
#include <netdb.h>
#include <string_view>

namespace {

using GetAddrInfo = decltype(&::getaddrinfo);

// Returns the C library's function.
GetAddrInfo next() {
  static const auto function = reinterpret_cast<GetAddrInfo>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return function;
}

int find_number(const char* number, const char* service, const addrinfo* hints, addrinfo** found) {
  addrinfo wanted = hints != nullptr ? *hints : addrinfo{};
  wanted.ai_flags &= ~AI_ADDRCONFIG;  // ::1 even without IPv6
  wanted.ai_flags |= AI_NUMERICHOST;
  return next()(number, service, &wanted, found);
}

}  // namespace

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  const std::string_view name = host != nullptr ? host : "";
  if (!name.ends_with(".test")) return next()(host, service, hints, found);
  if (name == "later.test") return EAI_AGAIN;
  if (name == "one.test") return find_number("127.0.0.1", service, hints, found);
  if (name != "both.test") return EAI_NONAME;
  if (const int error = find_number("::1", service, hints, found); error != 0) return error;
  return find_number("127.0.0.1", service, hints, &(*found)->ai_next);
}
