// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/probe_deadline.hpp>

namespace holdfast::detail {

void narrow_probe(breaker_permit& permit, operation& op, duration limit) {
  if (limit <= duration::zero()) return;
  const time_point deadline = saturating_add(op.time().precise_now(), limit);
  if (deadline >= op.limit.at) return;
  permit.word = static_cast<std::uint64_t>(op.limit.at.time_since_epoch().count());
  permit.set_note(static_cast<unsigned>(op.limit.code) + 1);
  op.limit.at = deadline;
  op.limit.code = errc::attempt_timeout;
}

void widen_probe(const breaker_permit& permit, operation& op) {
  if (!permit.is_probe() || permit.note() == 0) return;
  op.limit.at = time_point(duration(static_cast<duration::rep>(permit.word)));
  op.limit.code = static_cast<errc>(permit.note() - 1);
}

}  // namespace holdfast::detail
