// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_FORMAT_HPP
#define HOLDFAST_FORMAT_HPP

#include <fmt/format.h>

#include <concepts>
#include <holdfast/errc.hpp>
#include <holdfast/failure.hpp>
#include <holdfast/policy/adaptive_limit_options.hpp>
#include <holdfast/policy/backoff.hpp>
#include <holdfast/policy/breaker_snapshot.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <holdfast/policy/chaos_options.hpp>
#include <holdfast/policy/load_shedder_options.hpp>
#include <holdfast/policy/rate_limiter_options.hpp>
#include <holdfast/policy/retry_budget_options.hpp>
#include <holdfast/priority.hpp>
#include <holdfast/verdict.hpp>
#include <ostream>

/// \file
/// Prints Holdfast's words by fmt and by streams: a failure as its `message()`, an enumerator by its
/// name. Not part of <holdfast/resilient.hpp>: a program that includes it links fmt.
///
///     fmt::print("{}: {}\n", breaker.state(), answer.error());

namespace holdfast {

/// The enumerations that have a `to_string`.
template <class E>
concept named_enum =
    std::same_as<E, errc> || std::same_as<E, verdict> || std::same_as<E, quality> ||
    std::same_as<E, policy_kind> || std::same_as<E, priority> || std::same_as<E, breaker_state> ||
    std::same_as<E, breaker_cause> || std::same_as<E, backoff_kind> || std::same_as<E, jitter> ||
    std::same_as<E, queue_order> || std::same_as<E, budget_mode> ||
    std::same_as<E, limit_algorithm> || std::same_as<E, limiter_algorithm> ||
    std::same_as<E, overload_signal> || std::same_as<E, chaos_delay_kind>;

/// Prints the enumerator's name, and heeds the stream's width.
template <named_enum E>
std::ostream& operator<<(std::ostream& out, E e) {
  return out << to_string(e);
}

/// Prints `message()`.
inline std::ostream& operator<<(std::ostream& out, const failure& f) { return out << f.message(); }

}  // namespace holdfast

/// Takes the format specification of a string.
template <holdfast::named_enum E>
struct fmt::formatter<E> : fmt::formatter<fmt::string_view> {
  template <class Context>
  auto format(E e, Context& context) const {
    const auto name = to_string(e);
    return fmt::formatter<fmt::string_view>::format({name.data(), name.size()}, context);
  }
};

/// Takes the format specification of a string.
template <>
struct fmt::formatter<holdfast::failure> : fmt::formatter<fmt::string_view> {
  template <class Context>
  auto format(const holdfast::failure& f, Context& context) const {
    return fmt::formatter<fmt::string_view>::format(f.message(), context);
  }
};

#endif
