// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <bit>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/thread_slot.hpp>
#include <thread>

namespace holdfast::detail {

namespace {

struct free_slots {
  sync::mutex mutex;
  std::array<std::uint64_t, slot_count / 64> free;
  free_slots() { free.fill(~std::uint64_t{0}); }

  std::uint32_t take() {
    const std::lock_guard lock(mutex);
    for (std::uint32_t i = 0; i < free.size(); ++i) {
      if (free[i] == 0) continue;
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(free[i]));
      free[i] &= free[i] - 1;
      return i * 64 + bit;
    }
    return no_slot;
  }
  void give_back(std::uint32_t slot) {
    const std::lock_guard lock(mutex);
    free[slot / 64] |= std::uint64_t{1} << slot % 64;
  }
};

/// Never destroyed: threads may end after the statics are gone.
free_slots& slots() {
  static auto* const instance = new free_slots;
  return *instance;
}

/// Gives the slot back when the thread ends.
struct lease {
  std::uint32_t slot = slots().take();
  ~lease() {
    this_thread_slot = no_slot;  // what runs later in this thread shares
    if (slot != no_slot) slots().give_back(slot);
  }
};

}  // namespace

std::uint32_t take_thread_slot() noexcept {
  try {
    thread_local const lease own;
    this_thread_slot = own.slot;
  } catch (...) {
    this_thread_slot = no_slot;
  }
  return this_thread_slot;
}

std::uint32_t suitable_stripes(std::uint32_t most) noexcept {
  static const std::uint32_t processors = std::thread::hardware_concurrency();
  return std::clamp(2 * std::bit_ceil(processors), 4u, most);
}

}  // namespace holdfast::detail
