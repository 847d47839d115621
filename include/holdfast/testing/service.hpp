// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_SERVICE_HPP
#define HOLDFAST_TESTING_SERVICE_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <functional>
#include <holdfast/call_context.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <holdfast/result.hpp>
#include <holdfast/testing/dice.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::testing {

/// A time in which a service treats some requests otherwise.
struct brown_out {
  /// Since the service was made: the first instant, and the first after it.
  duration from{0};
  duration until{0};

  /// How many of the requests whose service begins in that time: 0 to 1.
  double share = 1.0;

  /// How long each of them takes, instead of `service_options::takes`.
  duration takes{0};

  /// How each of them ends; no error: well.
  boost::system::error_code fails = {};
};

struct service_options {
  /// Appears in what is refused. May be empty.
  std::string name = {};

  /// How many requests are served at once. At least 1.
  unsigned slots = 1;

  /// How many may wait for a slot; the rest is refused at once. At most 1,000,000,000.
  unsigned queue = 1'000'000'000;

  /// Who is served next.
  queue_order order = queue_order::fifo;

  /// Whether a request whose caller has given up stays in the queue and is served all the same, as
  /// by a server that does not notice. False: it is dropped.
  bool work_goes_on = true;

  /// How long a request is served. Called as its service begins; empty: no time.
  std::function<duration(dice&)> takes = {};

  /// Where several hold at once, the first counts.
  std::vector<brown_out> brown_outs = {};

  /// Decides all draws.
  std::uint64_t seed = 1;
};

/// What a simulated service answers.
struct reply {
  duration waited{0};  ///< For its slot.
  duration took{0};    ///< In it.
};

/// What a service has seen since it was made.
struct service_snapshot {
  std::uint64_t arrived;   ///< Requests, the refused ones too.
  std::uint64_t answered;  ///< Requests served well,
  std::uint64_t failed;    ///< and otherwise; whether somebody still waited for them or not.
  std::uint64_t refused;   ///< Requests that found the queue full, or were dropped from it.
  std::uint64_t given_up;  ///< Requests that their callers did not wait for.
  unsigned busy;
  unsigned waiting;
};

/// A service with slots and a queue before them, in the time of its context: a call for pipelines
/// under test, best in `virtual_time`.
///
///     hf::testing::service upstream(ctx, {.slots = 23, .takes = exponential(200ms)});
///     hf::result<hf::testing::reply> r = co_await guard(upstream);
///
/// Ends with the reply, or with the failure of a brown-out; with `errc::bulkhead_full` or the like
/// where the queue refuses; with `operation_aborted` when the caller cancels.
///
/// A handle: copies are the same service, and requests keep it alive. The context must outlive it.
/// Thread safety: none; used on its context, which one thread runs.
class service {
 public:
  /// Throws `invalid_options` that lists every option out of range.
  service(boost::asio::io_context& context, service_options options);

  /// Serves one request.
  boost::asio::awaitable<result<reply>> operator()(call_context& context) const;

  /// What a request does in its slot, instead of taking its time: true where it goes well.
  using work = std::function<boost::asio::awaitable<bool>(call_context&)>;

  /// The same slots and the same queue, for requests that do something: how a server that calls
  /// others is blocked by them. `options.takes` and brown-outs do not concern such requests.
  service route(work w) const;

  service_snapshot snapshot() const noexcept;

 private:
  class core;
  explicit service(std::shared_ptr<core> c, std::shared_ptr<const work> w) noexcept
      : core_(std::move(c)), work_(std::move(w)) {}

  std::shared_ptr<core> core_;
  std::shared_ptr<const work> work_;  // null: a request takes its time
};

/// For `service_options::takes`: exponentially distributed, and always the same.
std::function<duration(dice&)> exponential(duration mean);
std::function<duration(dice&)> constantly(duration d);

}  // namespace holdfast::testing

#endif
