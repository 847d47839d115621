// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CHAOS_OPTIONS_HPP
#define HOLDFAST_POLICY_CHAOS_OPTIONS_HPP

#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/failure.hpp>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

class call_context;

enum class chaos_delay_kind : std::uint8_t {
  constant,     ///< `base`
  uniform,      ///< between `base` and `cap`
  exponential,  ///< `base` on average, at most `cap`
};

/// How long a call is held up.
struct chaos_delay {
  chaos_delay_kind kind = chaos_delay_kind::constant;

  /// At least zero; a constant delay of zero: none.
  duration base = duration::zero();

  /// At least `base`. Not used by constant delays.
  duration cap = duration::max();
};

/// Which attempts something happens to, and what. Everything that is said must hold of an attempt.
///
/// Attempts and times are counted from the first attempt after the chaos was switched on.
struct chaos_rule {
  /// The share of the attempts that are struck. More than 0, at most 1.
  double rate = 1.0;

  /// The attempts from this one, 1 being the first, to that one, both included. At least 1, and
  /// `last_attempt` at least `first_attempt`.
  std::uint64_t first_attempt = 1;
  std::uint64_t last_attempt = std::numeric_limits<std::uint64_t>::max();

  /// The time from this moment up to, and without, that one. At least zero, and `until` after
  /// `from`.
  duration from = duration::zero();
  duration until = duration::max();

  /// Asked if set and if all the rest holds: for rules that concern one tenant, say. Called on the
  /// operation's executor; an exception out of it means false.
  std::function<bool(const call_context&)> only_if = nullptr;

  /// What happens first: the attempt is held up. The deadline cuts it short, as it would a slow
  /// call.
  chaos_delay delay = {};

  /// The attempt never gets an answer: it ends at the deadline or by its caller's cancellation.
  /// Excludes `delay` and `fault`.
  bool hang = false;

  /// How the attempt fails, after the delay: an error code (`errc::bulkhead_full` or
  /// `boost::asio::error::connection_reset`, as the service might have it) or an exception
  /// (`failure(std::make_exception_ptr(...))`), with a `retry_after` if wanted. None: the call is
  /// made.
  std::optional<failure> fault = {};
};

struct chaos_options {
  /// Appears in `describe()`. May be empty.
  std::string name = {};

  /// Decides, together with the number of the attempt, who is struck, and for how long.
  std::uint64_t seed = 1;

  /// Whether it is on from the start.
  bool enabled = false;

  /// Tried in order; the first one that strikes an attempt decides.
  std::vector<chaos_rule> rules = {};
};

/// One attempt that was struck.
struct chaos_strike {
  std::string name;
  std::uint64_t attempt;
  std::size_t rule;  ///< Its place in `chaos_options::rules`, from 0.
  duration delay;    ///< Zero where the attempt fails at once, or hangs.
  bool hangs;
  bool fails;
  time_point at;
};

/// What chaos has done since it was last switched on.
struct chaos_snapshot {
  bool enabled;
  std::uint64_t attempts;  ///< Seen, struck or not.
  std::uint64_t delayed;   ///< Held up; may have failed afterwards, too.
  std::uint64_t hung;
  std::uint64_t failed;    ///< Struck to fail, at once or after a delay.
  std::uint64_t listener_errors;  ///< Exceptions thrown by listeners since construction.
};

/// Names the enumerator. Unknown values give `unknown`.
std::string_view to_string(chaos_delay_kind k) noexcept;

}  // namespace holdfast

#endif
