// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SYNC_HPP
#define HOLDFAST_DETAIL_SYNC_HPP

#include <atomic>
#include <mutex>

/// What threads share in Holdfast is of these types. They are those of the standard library, and
/// cost nothing more; the models in tests/model/ put a header in place of this one whose types
/// explore how threads may interleave and what each may see.
namespace holdfast::detail::sync {

using std::atomic;
using std::mutex;

}  // namespace holdfast::detail::sync

#endif
