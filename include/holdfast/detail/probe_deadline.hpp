// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_PROBE_DEADLINE_HPP
#define HOLDFAST_DETAIL_PROBE_DEADLINE_HPP

#include <holdfast/detail/breaker_permit.hpp>
#include <holdfast/detail/operation.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>

namespace holdfast::detail {

/// Gives a probe a deadline of its own: the end of `probe_timeout` or of its lease, whichever is
/// earlier. The permit keeps the deadline that this replaces: its time in place of the state word,
/// its code plus one as the note.
void narrow_probe(breaker_permit& permit, operation& op, const circuit_breaker_options& o);

/// Puts the deadline back that `narrow_probe` has replaced, if it has. Before the outcome is judged.
void widen_probe(const breaker_permit& permit, operation& op);

}  // namespace holdfast::detail

#endif
