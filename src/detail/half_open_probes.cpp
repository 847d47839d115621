// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/half_open_probes.hpp>
#include <holdfast/detail/share.hpp>

namespace holdfast::detail {

std::uint64_t half_open_probes::reserve(const circuit_breaker_options& o, time_point now) {
  if (places_.size() >= o.half_open_probes) return 0;
  places_.push_back({last_probe_ + 1, now});
  return ++last_probe_;
}

std::optional<time_point> half_open_probes::end(std::uint64_t probe) noexcept {
  const auto found = std::ranges::find(places_, probe, &place::probe);
  if (found == places_.end()) return std::nullopt;
  const time_point began = found->began;
  places_.erase(found);
  return began;
}

bool half_open_probes::end_overdue(const circuit_breaker_options& o, time_point now) noexcept {
  if (places_.empty() || saturating_add(places_.front().began, o.probe_lease) > now) return false;
  places_.erase(places_.begin());
  return true;
}

trial_result half_open_probes::count(const circuit_breaker_options& o, bool bad) noexcept {
  bad ? ++bad_ : ++good_;
  if (o.half_open_calls == 0) {
    if (bad) return trial_result::failed;
    return good_ >= o.successes_to_close ? trial_result::passed : trial_result::undecided;
  }
  // As soon as the bad ones are enough for all that are to be judged, the rest need not be waited
  // for.
  const unsigned ended = std::max(good_ + bad_, o.half_open_calls);
  if (bad_ > 0 && reaches(bad_, ended, o.half_open_failure_rate)) {
    return trial_result::failed;
  }
  return good_ + bad_ >= o.half_open_calls ? trial_result::passed : trial_result::undecided;
}

void half_open_probes::begin(std::uint64_t generation) noexcept {
  last_probe_ = generation << 20;
  places_.clear();
  good_ = bad_ = 0;
}

}  // namespace holdfast::detail
