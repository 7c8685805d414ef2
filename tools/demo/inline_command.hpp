// Splits an inline command ("set key \"a b\"\r\n" typed into telnet) into arguments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace demo {

/// Fills `args` with views into `line` or `scratch` (cleared first; it never moves while `args` is
/// in use because it is reserved to the line's length: unescaping only shortens). Quoting rules
/// are those of redis-cli: "..." with \n \r \t \b \a \xHH, '...' with \' only.
/// False: unbalanced quotes, or text glued behind a closing quote.
[[nodiscard]] bool split_inline(std::string_view line, std::string& scratch,
                                std::vector<std::string_view>& args);

}  // namespace demo
