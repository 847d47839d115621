// SPDX-License-Identifier: BSL-1.0
// Counts in stripes, as the threads of many slots see them: one thread that takes their slots in
// turn. What threads do to each other at once is in model/counts.cpp.
#include <catch2/catch_all.hpp>
#include <holdfast/detail/striped_counts.hpp>
#include <vector>

namespace {

using holdfast::detail::call_kind;
using holdfast::detail::striped_counts;
using holdfast::detail::window_clock;
using holdfast::detail::window_counts;

/// Takes the slot of another thread for as long as it lives.
class in_slot {
 public:
  explicit in_slot(std::uint32_t slot) noexcept { holdfast::detail::this_thread_slot = slot; }
  ~in_slot() { holdfast::detail::this_thread_slot = own_; }
  in_slot(const in_slot&) = delete;

 private:
  const std::uint32_t own_ = holdfast::detail::thread_slot();
};

/// With stripes of their own, on whatever machine, and without; and without a slot.
std::vector<std::uint32_t> some_slots() {
  std::vector<std::uint32_t> slots;
  for (std::uint32_t s = 0; s < 2 * striped_counts::most_stripes; ++s) slots.push_back(s);
  slots.push_back(holdfast::detail::slot_count - 1);
  slots.push_back(holdfast::detail::no_slot);
  return slots;
}

constexpr std::int64_t period = 1000;

}  // namespace

TEST_CASE("stripes: what each thread counts is in the sum", "[striped_counts]") {
  striped_counts counts;
  const auto slots = some_slots();
  std::uint64_t n = 0;
  for (const std::uint32_t s : slots) {
    INFO("slot " << s);
    const in_slot here(s);
    counts.add_good(period);
    counts.add(call_kind::failed, period);
    counts.count_refusal();
    ++n;
    REQUIRE(counts.sum(period) == (window_counts{.good = n, .failed = n}));
    REQUIRE(counts.refused() == n);
  }
  counts.clear();
  CHECK(counts.sum(period).total() == 0);
  CHECK(counts.refused() == n);
}

TEST_CASE("stripes: who is in flight is found where he entered, whoever ends his call",
          "[striped_counts]") {
  striped_counts counts;
  std::vector<unsigned> lanes;
  for (const std::uint32_t s : some_slots()) {
    const in_slot here(s);
    unsigned lane = 0;
    counts.enter(1, 5, lane);
    lanes.push_back(lane);
  }
  REQUIRE(counts.late(1, 14) == lanes.size());
  std::uint64_t left = lanes.size();
  for (const unsigned lane : lanes) {
    counts.leave(1, 5, lane);
    REQUIRE(counts.late(1, 14) == --left);
  }
}

TEST_CASE("stripes: who was in flight before a change is not known when its number comes again",
          "[striped_counts]") {
  striped_counts counts;
  for (const std::uint32_t s : some_slots()) {
    const in_slot here(s);
    unsigned lane = 0;
    counts.enter(1, 5, lane);
  }
  for (std::uint64_t generation = 2; generation <= 257; ++generation) {
    counts.clear_in_flight(generation);
    REQUIRE(counts.late(generation, 100) == 0);
  }
}

TEST_CASE("stripes: nothing of old numbers counts under new ones", "[striped_counts]") {
  striped_counts counts;
  for (const std::uint32_t s : some_slots()) {
    const in_slot here(s);
    counts.add_good(period);
    counts.add(call_kind::failed, period);
  }
  counts.settle(period);
  counts.clear_for_renumbering();
  for (std::int64_t p = 0; p < 2 * period; ++p) {
    INFO("period " << p);
    REQUIRE(counts.sum(p).total() == 0);
    REQUIRE_FALSE(counts.may_hold_bad(p));
  }
  // Nor is anything settled: whatever the numbers are, a bad call has the next good one judged.
  for (std::int64_t p = period - 5 * window_clock::buckets; p <= period; ++p) {
    INFO("period " << p);
    striped_counts other;
    other.add(call_kind::failed, period);
    other.settle(period);
    other.clear_for_renumbering();
    other.add(call_kind::failed, p);
    REQUIRE(other.add_good(p));
  }
}
