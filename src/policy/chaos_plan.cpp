// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cmath>
#include <holdfast/detail/chaos_plan.hpp>
#include <holdfast/detail/uniform.hpp>

namespace holdfast::detail {

namespace {

/// Scrambles a number so that neighbours have nothing in common. Source: G. Steele, D. Lea, C.
/// Flood, "Fast Splittable Pseudorandom Number Generators", 2014 (SplitMix64).
std::uint64_t scrambled(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// A number in [0, 1).
double unit(std::uint64_t random) noexcept {
  return static_cast<double>(random >> 11) * 0x1.0p-53;
}

bool agrees(const chaos_rule& rule, const call_context* context) noexcept {
  if (!rule.only_if || !context) return true;
  try {
    return rule.only_if(*context);
  } catch (...) {
    return false;
  }
}

duration drawn(const chaos_delay& d, std::uint64_t random) noexcept {
  switch (d.kind) {
    case chaos_delay_kind::uniform: return uniform(d.base, d.cap, random);
    case chaos_delay_kind::exponential: {
      const double wanted = static_cast<double>(d.base.count()) * -std::log1p(-unit(random));
      return wanted < static_cast<double>(d.cap.count())
                 ? duration(static_cast<duration::rep>(wanted))
                 : d.cap;
    }
    case chaos_delay_kind::constant: break;
  }
  return d.base;
}

}  // namespace

chaos_choice choose(const chaos_options& plan, std::uint64_t attempt, duration elapsed,
                    const call_context* context) {
  std::uint64_t random = scrambled(plan.seed ^ scrambled(attempt));
  for (const chaos_rule& rule : plan.rules) {
    random =
        scrambled(random);  // each rule draws anew, whether those before it came to draw or not
    if (attempt < rule.first_attempt || attempt > rule.last_attempt) continue;
    if (elapsed < rule.from || elapsed >= rule.until) continue;
    if (unit(random) >= rule.rate || !agrees(rule, context)) continue;
    return {&rule, rule.hang ? duration::zero() : drawn(rule.delay, scrambled(~random))};
  }
  return {};
}

}  // namespace holdfast::detail
