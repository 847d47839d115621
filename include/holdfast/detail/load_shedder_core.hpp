// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LOAD_SHEDDER_CORE_HPP
#define HOLDFAST_DETAIL_LOAD_SHEDDER_CORE_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/stable_hash.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/tenant_shares.hpp>
#include <holdfast/policy/load_shedder_options.hpp>
#include <string>

namespace holdfast::detail {

/// Decides which calls are shed: a pure function of times, samples and identities.
///
/// Each class of priority is divided into 128 cohorts, among which the sessions are spread. The
/// cursor separates the levels (class, then cohort) that are admitted from those that are not. At
/// the end of each window it is moved to where, going by the arrivals of the window, the number of
/// calls that the next window ought to admit is reached.
class load_shedder_core {
 public:
  static constexpr unsigned cohorts = 128;
  static constexpr unsigned levels = static_cast<unsigned>(priority_count) * cohorts;

  explicit load_shedder_core(load_shedder_options options);

  /// The level of a session. The same for all its calls of that class, until the next rotation.
  unsigned level_of(priority p, std::uint64_t identity) const noexcept {
    const auto cohort = mix_bits(identity ^ salt_.load(std::memory_order_relaxed)) >> 57;
    return std::min(static_cast<unsigned>(p), static_cast<unsigned>(priority_count) - 1) * cohorts +
           static_cast<unsigned>(cohort);
  }

  /// Counts an arrival and tells whether its level is admitted.
  bool admit(unsigned level) noexcept {
    // Two at a time may count as one: the counts are only an estimate of how the arrivals are
    // spread, and nobody has to wait for a cache line that others write.
    auto& n = arrivals_[level];
    n.store(n.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return level < cursor_.load(std::memory_order_relaxed);
  }

  /// Counts a call that has ended.
  void add_sample(duration d, time_point now) noexcept {
    const auto us = static_cast<std::uint64_t>(
        std::clamp<std::int64_t>(d.count(), 0, longest_sample.count()) >> 10);
    const std::uint64_t before = samples_.fetch_add(one_sample + us, std::memory_order_relaxed);
    if (now.time_since_epoch().count() >= window_ends_.load(std::memory_order_relaxed) ||
        before / one_sample + 1 >= window_calls_.load(std::memory_order_relaxed)) [[unlikely]] {
      judge(now);
    }
  }
  /// The same for a call that the service, or a full queue before it, turned away.
  void add_turned_away(time_point now) noexcept;

  /// Counts a call that is shed; where nothing is admitted any more, this ends the windows.
  void count_shed(unsigned level, time_point now) noexcept;
  void count_over_share() noexcept { over_share_.fetch_add(1, std::memory_order_relaxed); }

  overload_signal signal() const noexcept { return signal_.load(std::memory_order_relaxed); }
  unsigned capacity() const noexcept { return capacity_.load(std::memory_order_relaxed); }
  unsigned burst() const noexcept { return burst_.load(std::memory_order_relaxed); }

  void reconfigure(load_shedder_options options);

  const std::string& name() const noexcept { return name_; }
  load_shedder_options options() const;
  unsigned cursor() const noexcept { return cursor_.load(std::memory_order_relaxed); }
  load_shedder_snapshot snapshot() const noexcept;
  void describe(std::string& out) const;
  duration window() const noexcept { return duration(window_.load(std::memory_order_relaxed)); }

  tenant_shares shares;

 private:
  // The number of samples above, their sum in units of 1,024 ns below. Samples are cut at ten times
  // the highest threshold: 50,000 of them, the largest window, leave room for 25,000 that come
  // while it is judged.
  static constexpr std::uint64_t one_sample = std::uint64_t{1} << 46;
  static constexpr duration highest_threshold = std::chrono::seconds(60);
  static constexpr duration longest_sample = 10 * highest_threshold;
  static constexpr std::uint64_t largest_window = 50'000;

  static load_shedder_options validated(load_shedder_options o, const std::string& name);
  void judge(time_point now) noexcept;
  void judge_locked(time_point now) noexcept;
  void move_cursor(bool overloaded) noexcept;
  void rotate(time_point now) noexcept;
  void apply(const load_shedder_options& o) noexcept;

  const std::string name_;
  sync::atomic<unsigned> cursor_{levels};
  sync::atomic<std::uint64_t> salt_{0};
  sync::atomic<std::int64_t> window_ends_{0};
  sync::atomic<unsigned> window_calls_{0};
  sync::atomic<unsigned> capacity_{0};
  sync::atomic<unsigned> burst_{0};
  sync::atomic<std::int64_t> window_{0};
  sync::atomic<std::int64_t> threshold_{0};
  sync::atomic<overload_signal> signal_{};
  alignas(64) sync::atomic<std::uint64_t> samples_{0};
  alignas(64) std::array<sync::atomic<std::uint32_t>, levels> arrivals_{};
  std::array<sync::atomic<std::uint64_t>, priority_count> shed_{};
  sync::atomic<std::uint64_t> over_share_{0};

  mutable sync::mutex mutex_;  // guards what follows
  load_shedder_options options_;
  bool overloaded_ = false;
  duration mean_{0};
  double admitted_ = 1.0;
  std::uint64_t windows_ = 0;
  std::uint64_t overloaded_windows_ = 0;
};

}  // namespace holdfast::detail

#endif
