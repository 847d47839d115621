// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <bit>
#include <holdfast/detail/striped_counts.hpp>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::detail {

namespace {

/// The numbers of the threads that are alive. The next one gets the smallest that is free: so a few
/// threads, however often they are replaced, keep to stripes of their own.
class number_pool {
 public:
  unsigned take() {
    const std::lock_guard lock(mutex_);
    const auto free = std::ranges::find(taken_, false);
    const auto number = static_cast<unsigned>(free - taken_.begin()) + 1;
    free == taken_.end() ? taken_.push_back(true) : static_cast<void>(*free = true);
    return number;
  }
  void give_back(unsigned number) {
    const std::lock_guard lock(mutex_);
    taken_[number - 1] = false;
  }

 private:
  std::mutex mutex_;
  std::vector<bool> taken_;
};

/// Never destroyed: threads may end after everything else.
number_pool& numbers() {
  static auto* const pool = new number_pool;
  return *pool;
}

struct number_holder {
  unsigned number = numbers().take();
  ~number_holder() { numbers().give_back(number); }
};

unsigned stripes_for_this_machine() {
  // Twice as many as processors: threads that are idle hold numbers too.
  const unsigned wanted = 2 * std::clamp(std::thread::hardware_concurrency(), 2u,
                                         striped_counts::most_stripes / 2);
  return std::bit_ceil(wanted);
}

}  // namespace

unsigned number_this_thread() noexcept {
  try {
    static thread_local const number_holder mine;
    thread_number = mine.number;
  } catch (...) {
    thread_number = 1;  // any will do
  }
  return thread_number;
}

striped_counts::striped_counts()
    : mask_(stripes_for_this_machine() - 1),
      stripes_(std::make_unique<stripe[]>(mask_ + 1)) {}

void striped_counts::add(call_kind k, std::int64_t period, std::uint64_t n) noexcept {
  if (n == 0) return;
  mine().window.add(k, period, n);
  // Whoever has added a bad call sums next. Of two at once the later one here sees what the earlier
  // one has added.
  if (k != call_kind::good) last_bad_.exchange(period, std::memory_order_acq_rel);
}

window_counts striped_counts::sum(std::int64_t period) const noexcept {
  window_counts counts;
  for (unsigned i = 0; i <= mask_; ++i) stripes_[i].window.sum(counts, period);
  return counts;
}

void striped_counts::clear() noexcept {
  for (unsigned i = 0; i <= mask_; ++i) stripes_[i].window.clear();
  last_bad_.store(none, std::memory_order_relaxed);
  unsettle();
}

std::uint64_t striped_counts::late(std::uint64_t generation, std::int64_t span) const noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i <= mask_; ++i) sum += stripes_[i].in_flight.late(generation, span);
  return sum;
}

void striped_counts::clear_in_flight(std::uint64_t generation) noexcept {
  for (unsigned i = 0; i <= mask_; ++i) stripes_[i].in_flight.clear(generation);
}

std::uint64_t striped_counts::refused() const noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i <= mask_; ++i) {
    sum += stripes_[i].refused.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace holdfast::detail
