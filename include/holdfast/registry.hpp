// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_REGISTRY_HPP
#define HOLDFAST_REGISTRY_HPP

#include <cstddef>
#include <holdfast/clock.hpp>
#include <holdfast/configuration.hpp>
#include <holdfast/policy/adaptive_limit.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/policy/chaos.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <holdfast/policy/hedge.hpp>
#include <holdfast/policy/load_shedder.hpp>
#include <holdfast/policy/rate_limiter.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <holdfast/policy/throttle.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// The policies of one service at one instant. What is not set, the service does not have.
struct service_snapshot {
  std::string name;
  std::optional<breaker_snapshot> circuit_breaker;
  std::optional<bulkhead_snapshot> bulkhead;
  std::optional<limiter_snapshot> rate_limiter;
  std::optional<retry_budget_snapshot> retry_budget;
  std::optional<throttle_snapshot> throttle;
  std::optional<adaptive_limit_snapshot> adaptive_limit;
  std::optional<hedge_snapshot> hedge;
  std::optional<load_shedder_snapshot> load_shedder;
  std::optional<chaos_snapshot> chaos;
};

namespace detail {
struct registry_state;
}

/// One instance of each policy per service, found by the service's name.
///
///     hf::registry services({.services = {{"gpt-4", {.circuit_breaker = {{.open_for = 60s}}}}}});
///     auto guard = hf::pipeline().with(services.breaker("gpt-4"));
///
/// Everybody who asks for a name gets the same object. Only a configuration makes services: to ask
/// for a name that none has is an error and not a new service, so that a misspelt name is seen, and
/// names that come from outside cannot make it grow without bound. Services are never removed.
///
/// Thread safety: safe, from any thread. Lifetime: what it has handed out outlives it. Cost of a
/// look-up: a shared lock and a search in a sorted map, no allocation; pipelines are made once, so
/// that calls need none.
class registry {
 public:
  /// Throws `invalid_options` that lists every fault. `now` is where the time of the policies
  /// begins.
  explicit registry(configuration c = {}, time_point now = clock::now());
  registry(registry&&) noexcept;
  registry& operator=(registry&&) noexcept;
  ~registry();

  /// The service's one policy of that kind. Throws `std::out_of_range`, with the nearest name, where
  /// no service has that name; or where it has no such policy and the defaults have none either.
  circuit_breaker breaker(std::string_view name) const;
  holdfast::bulkhead bulkhead(std::string_view name) const;
  rate_limiter limiter(std::string_view name) const;
  retry_budget budget(std::string_view name) const;
  holdfast::throttle throttle(std::string_view name) const;
  holdfast::adaptive_limit adaptive_limit(std::string_view name) const;
  holdfast::hedge hedge(std::string_view name) const;
  load_shedder shedder(std::string_view name) const;
  holdfast::chaos chaos(std::string_view name) const;

  /// The same for policies that are values: the options in force now, which stay those of the
  /// pipelines made with them. The retry draws on the service's budget.
  holdfast::timeout timeout(std::string_view name) const;
  holdfast::retry retry(std::string_view name) const;

  /// Puts other options into the objects that there are, for new calls: states, windows, permits,
  /// probes, waiters and counters stay, and nobody's handle changes. Returns what has changed, one
  /// line each, such as `gpt-4.circuit_breaker.open_for: 30s -> 60s`.
  ///
  /// A new service or policy is added; what is missing from the configuration is kept as it is, and
  /// a line says so. A `timeout` or a `retry` takes effect where a pipeline is made with it again.
  /// The options replaced are those of the last configuration, whatever was put into an object by
  /// hand since then. Throws `invalid_options` that lists every fault, and changes nothing then.
  std::vector<std::string> apply(configuration c, time_point now = clock::now());

  /// The names of the services, sorted.
  std::vector<std::string> names() const;
  std::size_t size() const;
  bool contains(std::string_view name) const;

  /// All services, sorted by name; one after another, not all at the same instant.
  std::vector<service_snapshot> snapshot(time_point now = clock::now()) const;

  /// The same of one service. Throws `std::out_of_range` where there is none of that name.
  service_snapshot snapshot_of(std::string_view name, time_point now = clock::now()) const;

  /// Prints every option of every policy of every service, one a line, as
  /// `gpt-4.circuit_breaker.open_for: 30s`.
  std::string describe() const;

 private:
  std::unique_ptr<detail::registry_state> state_;
};

}  // namespace holdfast

#endif
