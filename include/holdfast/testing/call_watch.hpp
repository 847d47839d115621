// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_CALL_WATCH_HPP
#define HOLDFAST_TESTING_CALL_WATCH_HPP

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstdint>
#include <holdfast/call_context.hpp>
#include <memory>
#include <type_traits>
#include <utility>

namespace holdfast::testing {

/// What a `call_watch` has seen.
struct watched_calls {
  std::uint64_t started = 0;         ///< Attempts that began.
  std::uint64_t running = 0;         ///< Attempts that have not ended: none, once all is at rest.
  std::uint64_t most_running = 0;    ///< The most that ran at once: what a bulkhead bounds.
  std::uint64_t after_deadline = 0;  ///< Attempts that began when their deadline had come: none.
  std::uint64_t past_deadline = 0;   ///< Attempts that ended after it: none that heed it.
  unsigned most_attempts = 0;        ///< The highest `call_context::attempt()`.
};

/// Watches attempts as a service sees them, for what must hold whatever happens: never more at once
/// than there are permits, none after its deadline, none left behind.
///
///     hf::testing::call_watch watch;
///     co_await guard(watch.around(call));
///     CHECK(watch.seen().most_running <= 8);
///
/// Deadlines are those of `call_context`. A handle: copies are the same watch, and the calls keep it
/// alive. Thread safety: none.
class call_watch {
 public:
  const watched_calls& seen() const noexcept { return *seen_; }

  /// A call that does what `call` does, watched. `call` takes a `call_context&` or nothing, and
  /// returns an awaitable.
  template <class Call>
  auto around(Call call) const {
    return watched<Call>{seen_, std::move(call)};
  }

 private:
  /// One attempt; ended by its destruction, however it comes to that.
  class attempt {
   public:
    attempt(std::shared_ptr<watched_calls> seen, const call_context& context)
        : seen_(std::move(seen)) {
      ++seen_->started;
      seen_->most_running = std::max(seen_->most_running, ++seen_->running);
      seen_->after_deadline += context.now() >= context.deadline();
      seen_->most_attempts = std::max(seen_->most_attempts, context.attempt());
    }
    attempt(const attempt&) = delete;
    ~attempt() { --seen_->running; }

    /// It has ended, and was not dropped with its executor, when there is no time any more.
    void end(const call_context& context) noexcept {
      seen_->past_deadline += context.now() > context.deadline();
    }

   private:
    std::shared_ptr<watched_calls> seen_;
  };

  template <class Call>
  struct watched {
    static constexpr bool takes_context = std::invocable<const Call&, call_context&>;

    static auto start(const Call& call, [[maybe_unused]] call_context& context) {
      if constexpr (takes_context) {
        return call(context);
      } else {
        return call();
      }
    }
    using awaitable = decltype(start(std::declval<const Call&>(), std::declval<call_context&>()));

    awaitable operator()(call_context& context) const {
      attempt under_way(seen, context);
      try {
        if constexpr (std::is_void_v<typename awaitable::value_type>) {
          co_await start(call, context);
          under_way.end(context);
        } else {
          typename awaitable::value_type outcome = co_await start(call, context);
          under_way.end(context);
          co_return outcome;
        }
      } catch (...) {
        under_way.end(context);
        throw;
      }
    }

    std::shared_ptr<watched_calls> seen;
    Call call;
  };

  std::shared_ptr<watched_calls> seen_ = std::make_shared<watched_calls>();
};

}  // namespace holdfast::testing

#endif
