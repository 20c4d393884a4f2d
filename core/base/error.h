#pragma once
#include <fmt/format.h>

#include <source_location>
#include <stdexcept>
#include <type_traits>

namespace bough {

/// Every failure bough reports: the user's problem, in one sentence ("who: what is, what must be.
/// What to do."). Mains print what() and exit with 1; any other exception is a bug of ours (exit 2).
struct Error : std::runtime_error {
  Error(const std::string& message, std::source_location where) : std::runtime_error(message), where(where) {}
  std::source_location where;  ///< the check that failed, for debugging
};

/// A format string checked at compile time that also remembers where it was written.
template <class... Args>
struct Located {
  fmt::format_string<Args...> text;
  std::source_location where;
  template <class S>
  consteval Located(const S& s, std::source_location w = std::source_location::current()) : text(s), where(w) {}
};

/// Throws Error with the formatted sentence.
template <class... Args>
[[noreturn]] void fail(Located<std::type_identity_t<Args>...> f, Args&&... args) {
  throw Error(fmt::format(f.text, std::forward<Args>(args)...), f.where);
}

/// check(a == b, "source length {} but mask length {}", a, b): throws Error when false.
/// For anything that input or configuration can cause; always on.
template <class... Args>
void check(bool ok, Located<std::type_identity_t<Args>...> f, Args&&... args) {
  if (!ok) [[unlikely]]
    fail<Args...>(f, std::forward<Args>(args)...);
}

}  // namespace bough
