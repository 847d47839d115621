// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <holdfast/detail/breaker_cell.hpp>

namespace holdfast::detail {

sync::mutex& compact_breaker_store::mutex() const noexcept {
  struct alignas(64) line {
    sync::mutex mutex;
  };
  static std::array<line, 64> pool;
  return pool[reinterpret_cast<std::uintptr_t>(this) / sizeof(breaker_cell) % pool.size()].mutex;
}

void compact_breaker_store::add(call_kind k, time_point now) noexcept {
  const std::int64_t period = rules_->clock.period(now);
  window_.add(k, period);
  // The same word for all: of two bad calls at once the later one here sees what the earlier one
  // has added.
  if (k != call_kind::good) last_bad_.exchange(kept(period), std::memory_order_acq_rel);
}

window_counts compact_breaker_store::counts(time_point now) const noexcept {
  window_counts c;
  window_.sum(c, rules_->clock.period(now));
  return c;
}

void compact_breaker_store::clear(std::uint64_t) noexcept {
  window_.clear();
  last_bad_.store(none, std::memory_order_relaxed);
  settled_.store(none, std::memory_order_relaxed);
}

void compact_breaker_store::settle_side(breaker_state s) noexcept {
  if (s == breaker_state::open || s == breaker_state::half_open || s == breaker_state::recovering) {
    return;
  }
  delete side_;
  side_ = nullptr;
}

}  // namespace holdfast::detail
