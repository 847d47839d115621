// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/probe_deadline.hpp>

namespace holdfast::detail {

namespace {

/// The note of a probe whose own deadline would come after those around it.
constexpr unsigned longer = 0xff;
constexpr unsigned as_long = 0xfe;  // but hardly

}  // namespace

void narrow_probe(breaker_permit& permit, operation& op, const circuit_breaker_options& o) {
  const bool limited = o.probe_timeout > duration::zero();
  const duration limit = limited ? std::min(o.probe_timeout, o.probe_lease) : o.probe_lease;
  const time_point deadline = saturating_add(op.time().precise_now(), limit);
  if (deadline >= op.limit.at) {
    // A lease is no statement about how long the service may take.
    if (limited) permit.set_note(measures_as_well(op.limit.at, deadline, limit) ? as_long : longer);
    return;
  }
  permit.word = static_cast<std::uint64_t>(op.limit.at.time_since_epoch().count());
  permit.set_note(static_cast<unsigned>(op.limit.code) + 1);
  op.limit.at = deadline;
  op.limit.code = errc::attempt_timeout;
}

void widen_probe(const breaker_permit& permit, operation& op) {
  if (!permit.is_probe() || permit.note() == 0) return;
  op.note_deadline(permit.note() != longer);
  if (permit.note() == longer || permit.note() == as_long) return;
  op.limit.at = time_point(duration(static_cast<duration::rep>(permit.word)));
  op.limit.code = static_cast<errc>(permit.note() - 1);
}

}  // namespace holdfast::detail
