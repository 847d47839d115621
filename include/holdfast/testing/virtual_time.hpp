// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_VIRTUAL_TIME_HPP
#define HOLDFAST_TESTING_VIRTUAL_TIME_HPP

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/time/time_source.hpp>
#include <map>
#include <mutex>
#include <random>

namespace holdfast::testing {

/// Runs an `io_context` in virtual time: every wait of the library, every timeout and every
/// `hf::sleep_for` ends at its exact time without anybody waiting for it, and every random choice
/// follows from the seed.
///
///     asio::io_context ctx{1};
///     hf::testing::virtual_time time{ctx, 42};
///     asio::co_spawn(ctx, scenario(), asio::detached);
///     time.run();
///
/// Timers that expire at the same instant fire in the order in which they were armed, and all work
/// that one causes is done before the next fires: two runs are alike. Asio's own timers and sockets
/// stay in real time; `run` does not wait for them.
///
/// Lifetime: after the context and before anything that is started on it; on destruction, time
/// stands still. Thread safety: none; the context is run by this object and nobody else.
class virtual_time final : private time_source {
 public:
  explicit virtual_time(boost::asio::io_context& context, std::uint64_t seed = 1);
  ~virtual_time();
  virtual_time(const virtual_time&) = delete;
  virtual_time& operator=(const virtual_time&) = delete;

  /// The current virtual time. Starts at one hour after the epoch.
  time_point now() const noexcept override { return now_.load(std::memory_order_relaxed); }

  /// Runs everything until nothing is ready and no timer is left. Returns the handlers run.
  std::size_t run();

  /// The same, but for at most `d` of virtual time, which has passed afterwards.
  std::size_t run_for(duration d);
  std::size_t run_until(time_point t);

  /// Runs what is ready now, without letting time pass.
  std::size_t poll();

  /// Lets time pass to the next timer and runs what that causes. False if there is no timer.
  bool step();

  /// The smallest step: runs one ready handler or, where none is ready, lets time pass to the next
  /// timer, which makes something ready but runs none of it. False if there is neither. For tests
  /// that cancel or destroy at every point in turn.
  bool step_one();

  /// How many timers are armed.
  std::size_t timers() const noexcept { return armed_; }

 private:
  void arm(timer_entry& timer, time_point when) override;
  void disarm(timer_entry& timer) noexcept override;
  std::uint64_t random() noexcept override { return random_(); }

  bool fire_next(time_point limit);
  void take_out(timer_entry& timer) noexcept;

  boost::asio::io_context& context_;
  std::atomic<time_point> now_;
  std::mt19937_64 random_;
  // By instant; those of one instant in the order in which they were armed.
  std::map<time_point, timer_list> timers_;
  std::mutex mutex_;  // a call may begin or end a wait from another thread
  std::size_t armed_ = 0;
};

}  // namespace holdfast::testing

#endif
