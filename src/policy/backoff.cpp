// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cmath>
#include <holdfast/detail/uniform.hpp>
#include <holdfast/policy/backoff.hpp>

namespace holdfast {

std::string_view to_string(backoff_kind k) noexcept {
  switch (k) {
    case backoff_kind::constant: return "constant";
    case backoff_kind::linear: return "linear";
    case backoff_kind::exponential: return "exponential";
  }
  return "unknown";
}

std::string_view to_string(jitter j) noexcept {
  switch (j) {
    case jitter::none: return "none";
    case jitter::full: return "full";
    case jitter::equal: return "equal";
    case jitter::decorrelated: return "decorrelated";
  }
  return "unknown";
}

namespace {

/// The product as a duration; the cap where it is larger, infinite or no number.
duration capped(duration base, double factor, duration cap) noexcept {
  if (base <= duration::zero()) return duration::zero();
  const double product = static_cast<double>(base.count()) * factor;
  if (!(product < static_cast<double>(cap.count()))) return cap;
  return duration(static_cast<duration::rep>(product));
}

duration unspread(const backoff& b, std::uint64_t retry) noexcept {
  switch (b.kind) {
    case backoff_kind::constant: return std::min(b.base, b.cap);
    case backoff_kind::linear: return capped(b.base, static_cast<double>(retry), b.cap);
    case backoff_kind::exponential:
      return capped(b.base, std::pow(b.factor, static_cast<double>(retry - 1)), b.cap);
  }
  return b.cap;
}

}  // namespace

duration next_delay(const backoff& b, std::uint64_t retry, duration previous,
                    std::uint64_t random) noexcept {
  using detail::uniform;
  if (b.jitter == jitter::decorrelated) {
    // The range is clamped, not the draw: clamping the draw would pile up waits at the cap.
    const duration high = capped(std::max(previous, b.base), 3.0, b.cap);
    return uniform(std::min(b.base, high), high, random);
  }
  const duration delay = unspread(b, retry);
  switch (b.jitter) {
    case jitter::full: return uniform(duration::zero(), delay, random);
    case jitter::equal: return uniform(delay / 2, delay, random);
    case jitter::none:
    case jitter::decorrelated: break;
  }
  return delay;
}

}  // namespace holdfast
