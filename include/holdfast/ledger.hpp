// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_LEDGER_HPP
#define HOLDFAST_LEDGER_HPP

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <holdfast/clock.hpp>
#include <holdfast/short_name.hpp>
#include <holdfast/verdict.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// What happened to one operation: every attempt and every link of its fallback chains, in order.
///
/// Passed with `call_options::ledger`; holds the last operation that wrote to it. Thread safety:
/// one operation at a time writes; read it when the operation has ended.
class ledger {
 public:
  struct entry {
    std::string link;             ///< The link's name; empty for the protected call itself.
    unsigned attempt;             ///< From 1 within its link; 0 where a policy refused the attempt.
    verdict outcome;
    boost::system::error_code code;
    policy_kind refused_by;       ///< `none` where the call was made; `cache` where one answered.
    short_name policy_name;
    time_point started;
    duration took;
  };

  /// All attempts and refusals, oldest first.
  const std::vector<entry>& entries() const noexcept { return entries_; }

  /// The name of the link that answered: empty for the protected call itself, or if none did.
  std::string_view answered_by() const noexcept { return answered_by_; }

  /// Whether there is an answer, and how good it is: meaningful once the operation has ended well.
  bool answered() const noexcept { return answered_; }
  holdfast::quality quality() const noexcept { return quality_; }

  /// How many attempts reached a call.
  unsigned attempts() const noexcept;

  /// How many entries are missing, or names of links, since there was no memory for them. The
  /// operation itself goes on without.
  unsigned unrecorded() const noexcept { return unrecorded_; }

  /// One line per entry, for logs.
  std::string describe() const;

  // For the engine.
  void begin() noexcept;
  /// The entry's link is the current one.
  void record(entry e) noexcept;
  void enter_link(std::string_view name, holdfast::quality q);
  void leave_link(time_point started, duration took, verdict v,
                  boost::system::error_code code) noexcept;
  void end(bool answered) noexcept;
  void answer_from_cache(std::string_view name, holdfast::quality q, verdict v,
                         time_point now) noexcept;
  /// A cache had no answer, or the operation had no key for it.
  void record_miss(std::string_view cache_name, bool without_key, time_point now) noexcept;
  void grade_link(holdfast::quality q) noexcept { link_quality_ = std::max(link_quality_, q); }

 private:
  std::vector<entry> entries_;
  std::string link_;
  std::size_t link_begin_ = 0;  // the entries from here on are the link's
  std::string answered_by_;
  bool answered_ = false;
  unsigned unrecorded_ = 0;
  holdfast::quality link_quality_ = holdfast::quality::primary;
  holdfast::quality quality_ = holdfast::quality::primary;
};

}  // namespace holdfast

#endif
