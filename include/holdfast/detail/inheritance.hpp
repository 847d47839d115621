// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_INHERITANCE_HPP
#define HOLDFAST_DETAIL_INHERITANCE_HPP

#include <holdfast/call_options.hpp>
#include <optional>
#include <string>

/// \file
/// What passes between an operation and one that runs for it, and nowhere else:
///
/// | goes in             | link | hedge attempt | refresh | nested                              |
/// |---------------------|------|---------------|---------|-------------------------------------|
/// | deadline            | yes  | yes           | its own | the earlier one                     |
/// | cancellation        | yes  | yes           | no      | yes                                 |
/// | tenant and session  | yes  | yes           | copies  | unless it names either              |
/// | tags, priority      | yes  | yes           | copies  | unless it has its own               |
/// | idempotent          | yes  | yes           | yes     | if both say so: the stricter counts |
/// | cost, weight        | yes  | yes           | yes     | its own                             |
/// | cache key           | yes  | no cache      | no cache| its own                             |
/// | ledger              | yes  | yes           | none    | its own                             |
///
/// | comes back          | link | hedge attempt | refresh | nested |
/// |---------------------|------|---------------|---------|--------|
/// | what it settled     | yes  | yes           | no      | yes    |
/// | that a call was made| yes  | yes           | no      | no     |
/// | number of attempts  | no   | yes           | no      | no     |
/// | cut short or not    | no   | yes           | no      | no     |
///
/// The attempts of a hedge are attempts of the whole operation: they draw their numbers from it.
/// Those of a link or a nested operation are numbered from 1.

namespace holdfast::detail {

class operation;

/// The options of an operation that runs as a part of `op`: a link, or what is below a hedge.
/// `within` is the context that ends it: `op` for a link, that of the attempt for a hedge.
call_options options_for_part(const operation& op, operation_role role, call_context& within);

/// The same for an operation that outlives `op`: owns what it names.
class kept_options {
 public:
  explicit kept_options(const operation& op);

  /// Refers to this object.
  call_options get(time_point deadline) const;

 private:
  std::string tenant_;
  std::optional<tag_set> tags_;
  std::uint64_t session_;
  std::uint32_t cost_;
  unsigned weight_;
  holdfast::priority priority_;
  bool idempotent_;
};

/// Gives an operation what it inherits from its parent. At its start.
void take_over_from_parent(operation& op);

/// Lets go of the parent. Hands back to it what the operation and those within it have cost,
/// whether a call was made, and whether the parent's deadline cut it short. At the operation's end.
void hand_back_to_parent(operation& op) noexcept;

/// Counts an attempt that `op` has counted in the operation that it is a part of, too, and gives
/// its number there.
unsigned number_in_whole(operation& op) noexcept;

/// The number of the attempt that starts next.
unsigned next_number(const operation& op) noexcept;

}  // namespace holdfast::detail

#endif
