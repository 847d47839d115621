// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LIMIT_CORE_HPP
#define HOLDFAST_DETAIL_LIMIT_CORE_HPP

#include <array>
#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/event_queue.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/policy/adaptive_limit_options.hpp>
#include <limits>
#include <memory>
#include <string>

namespace holdfast::detail {

class limit_controller;

/// What one call is watched for.
enum class attention : std::uint8_t {
  none,
  glance,  ///< Whether its end finds the window over.
  timed,   ///< How long it takes.
};

/// Counts the calls in flight, and collects the windows that move the limit.
///
/// How many calls are in flight is part of one word, taken and given back with one atomic operation
/// each, so that never more are admitted than the limit allows. Only a share of the calls is timed,
/// so that a window holds a few hundred samples whatever the traffic; those few go under a mutex.
class limit_core {
 public:
  explicit limit_core(adaptive_limit_options options);
  ~limit_core();

  /// A place in flight: which one it was, and what the call is watched for.
  struct admission {
    std::uint32_t in_flight = 0;  // with this call; 0: refused
    attention watched = attention::none;
  };

  admission try_enter() noexcept {
    const std::uint64_t limit = limit_.load(std::memory_order_relaxed);
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while ((seen & in_flight_mask) < limit) {
      const std::uint64_t wanted = seen + one_admitted;
      if (word_.compare_exchange_weak(seen, wanted, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return {static_cast<std::uint32_t>(wanted & in_flight_mask),
                watch(static_cast<std::uint32_t>(wanted >> 32))};
      }
    }
    return {};
  }
  void count_refusal() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }

  /// Gives the place back. To be called once for each admission, before what the call says is
  /// added.
  void release() noexcept { word_.fetch_sub(1, std::memory_order_release); }

  /// Whether the window may be over: for calls that are not timed.
  bool may_be_due(time_point now) const noexcept {
    return now.time_since_epoch().count() >= due_.load(std::memory_order_relaxed);
  }

  // What calls say. True: the window is over, `close_window` judges it.
  [[nodiscard]] bool add_answer(time_point began, time_point ended, unsigned in_flight) noexcept;
  [[nodiscard]] bool add_drop(time_point began, time_point ended, unsigned in_flight) noexcept;
  [[nodiscard]] bool look(time_point now) noexcept;

  /// Judges the window, unless somebody else just did.
  void close_window(time_point now, std::uint64_t random);

  void reconfigure(adaptive_limit_options options);
  subscription on_change(std::function<void(const limit_change&)> listener);

  /// Fixed at construction, as failures point to it.
  const std::string& name() const noexcept { return name_; }
  unsigned limit() const noexcept {
    return static_cast<unsigned>(limit_.load(std::memory_order_relaxed));
  }
  unsigned in_flight() const noexcept {
    return static_cast<unsigned>(word_.load(std::memory_order_relaxed) & in_flight_mask);
  }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  adaptive_limit_snapshot snapshot() const;
  void describe(std::string& out) const;

 private:
  // The word: in flight in the low half; all that were ever admitted, modulo 2^32, in the high one.
  static constexpr std::uint64_t one_admitted = (std::uint64_t{1} << 32) + 1;
  static constexpr std::uint64_t in_flight_mask = (std::uint64_t{1} << 32) - 1;
  static constexpr std::uint32_t every_call = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::size_t capacity = 512;  // samples of a window
  static constexpr time_point unset = time_point::min();

  /// Spreads the timed calls evenly without a period that calls could have too. Source: D. Knuth,
  /// "The Art of Computer Programming", volume 3, 6.4, multiplicative hashing by the golden ratio.
  attention watch(std::uint32_t number) const noexcept {
    if (number * std::uint32_t{2654435769u} <= share_.load(std::memory_order_relaxed)) {
      return attention::timed;
    }
    return number % 16 == 0 ? attention::glance : attention::none;
  }

  void judge_locked(time_point now, std::uint64_t random);
  bool note_locked(time_point began, time_point ended, unsigned in_flight) noexcept;
  bool is_over_locked(time_point now) const noexcept;
  void thin_out_locked() noexcept;
  duration quantile_locked() noexcept;
  void begin_window_locked(time_point now, duration length) noexcept;
  void set_due_locked(time_point t) noexcept {
    due_.store(t.time_since_epoch().count(), std::memory_order_relaxed);
  }

  const std::string name_;

  // Read by every call, written once per window.
  sync::atomic<std::uint64_t> limit_;
  sync::atomic<std::uint32_t> share_{every_call};
  sync::atomic<time_point::rep> due_{never.time_since_epoch().count()};

  alignas(64) sync::atomic<std::uint64_t> word_{0};
  alignas(64) sync::atomic<std::uint64_t> refused_{0};

  mutable sync::mutex mutex_;  // for the window and for what judges it
  adaptive_limit_options options_;
  const std::unique_ptr<limit_controller> controller_;
  std::array<duration, capacity> samples_{};
  unsigned count_ = 0;
  unsigned peak_ = 0;
  std::uint64_t dropped_ = 0;
  time_point began_ = unset;
  time_point ends_ = unset;
  std::uint32_t admitted_before_ = 0;
  std::uint64_t refused_before_ = 0;
  duration latency_ = duration::zero();
  std::uint64_t windows_ = 0;
  std::uint64_t all_dropped_ = 0;
  bool listened_to_ = false;
  event_queue<limit_change> events_;
};

}  // namespace holdfast::detail

#endif
