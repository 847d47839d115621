// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WAIT_STATE_HPP
#define HOLDFAST_DETAIL_WAIT_STATE_HPP

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <cstdint>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/time/time_service.hpp>

namespace holdfast::detail {

/// How a wait ended.
enum class wait_end : std::uint8_t { elapsed, granted, cancelled, failed };

/// What it ends with where it is an asynchronous operation of its own.
inline boost::system::error_code error_of(wait_end end) noexcept {
  switch (end) {
    case wait_end::cancelled: return asio::error::operation_aborted;
    case wait_end::failed: return make_error_code(boost::system::errc::not_enough_memory);
    default: return {};
  }
}

/// One wait of one operation: for a time, for a permit, or for both, whichever comes first.
///
/// Exactly one of the timer, the giver of the permit (from any thread), the canceller and the
/// execution context's shutdown ends it; one compare-and-swap decides which. The loser does
/// nothing. Usable again after `finish`.
class wait_state final : private timer_entry {
 public:
  wait_state() noexcept = default;
  ~wait_state() {
    if (state_.load(std::memory_order_relaxed) != state::idle) time_->disarm(*this);
  }

  /// Opens the wait: from now on a permit can be granted. To be awaited with `start`, or closed
  /// with `finish`.
  void prepare(time_service& time, asio::cancellation_slot cancellation) noexcept {
    time_ = &time;
    slot_ = cancellation;
    // Relaxed: whoever may grant learns of this wait from a queue, under its lock.
    state_.store(state::open, std::memory_order_relaxed);
  }

  /// Hears the cancellation from here on, before `start`. May throw `std::bad_alloc`.
  void listen() {
    if (slot_.is_connected()) {
      slot_.assign([this](asio::cancellation_type_t) { end(state::cancelled); });
    }
    listening_ = true;
  }

  /// Suspends until the wait ends or `until` is reached. `handler` is posted to its own executor,
  /// never run from here. Whoever ends the wait needs no memory for that. Where there is none now
  /// it throws, and the handler is left as it is, or the wait has ended with `wait_end::failed`.
  template <class Handler>
  void start(time_point until, Handler&& handler) {
    post_memory memory;
    memory.reserve(post_memory::blocks_for(executor_of(handler)));
    handler_.store(std::forward<Handler>(handler));
    handler_.reserve(std::move(memory));
    try {
      if (!listening_) listen();
      time_->arm(*this, until);
    } catch (...) {
      fail();
    }
    auto expected = state::open;
    if (!state_.compare_exchange_strong(expected, state::parked, std::memory_order_acq_rel)) {
      handler_.post();  // ended before it was parked
    }
  }

  /// Ends the wait with a permit. False if it has already ended otherwise: the permit is not taken.
  /// Where the operation is suspended it is moved to `resumed`, to be posted by the caller when it
  /// holds no lock: an executor that is shutting down destroys what is posted to it, there and
  /// then. The operation's context does not go before that is done.
  bool grant(resumption& resumed) noexcept {
    // Before the end of the wait, after which this object and its context may go at any time.
    auto& pins = time_->pins();
    pins.fetch_add(1, std::memory_order_relaxed);
    bool parked = false;
    const bool ended = end(state::granted, [&] {
      resumed = std::move(handler_);
      resumed.hold(pins);
      parked = true;
    });
    if (!parked) pins.fetch_sub(1, std::memory_order_release);
    return ended;
  }

  /// Ends the wait as cancelled, unless something else has.
  void cancel() noexcept { end(state::cancelled); }

  /// Ends a wait that cannot be started, unless a permit has.
  void fail() noexcept { end(state::failed); }

  /// Whether a permit ended the wait, before or after its resumption.
  bool granted() const noexcept { return state_.load(std::memory_order_acquire) == state::granted; }

  /// Closes the wait after its resumption.
  wait_end finish() noexcept {
    time_->disarm(*this);
    if (slot_.is_connected()) slot_.clear();
    listening_ = false;
    switch (state_.exchange(state::idle, std::memory_order_acq_rel)) {
      case state::granted: return wait_end::granted;
      case state::cancelled: return wait_end::cancelled;
      case state::failed: return wait_end::failed;
      default: return wait_end::elapsed;
    }
  }

 private:
  enum class state : std::uint8_t {
    idle, open, parked, elapsed, granted, cancelled, failed, abandoned
  };

  bool end(state outcome) noexcept {
    return end(outcome, [this] { handler_.post(); });
  }

  template <class Resume>
  bool end(state outcome, Resume resume) noexcept {
    auto seen = state_.load(std::memory_order_relaxed);
    while (seen == state::open || seen == state::parked) {
      if (state_.compare_exchange_weak(seen, outcome, std::memory_order_acq_rel)) {
        if (seen == state::parked) resume();
        return true;
      }
    }
    return false;
  }

  // A wait that the timer has ended while it was parked stays until it has been posted.
  bool claim() noexcept override {
    bool parked = false;
    end(state::elapsed, [&parked] { parked = true; });
    return parked;
  }
  void on_expiry() noexcept override { handler_.post(); }

  void on_shutdown() noexcept override {
    auto expected = state::parked;
    if (state_.compare_exchange_strong(expected, state::abandoned)) handler_.drop();
  }

  sync::atomic<state> state_{state::idle};
  bool listening_ = false;
  time_service* time_ = nullptr;
  asio::cancellation_slot slot_;
  resumption handler_;
};

}  // namespace holdfast::detail

#endif
