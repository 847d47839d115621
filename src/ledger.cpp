// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/ledger.hpp>
#include <new>

namespace holdfast {

unsigned ledger::attempts() const noexcept {
  return static_cast<unsigned>(
      std::ranges::count_if(entries_, [](const entry& e) { return e.attempt != 0; }));
}

std::string ledger::describe() const {
  std::string out;
  for (const entry& e : entries_) {
    out += e.link.empty() ? std::string("call") : fmt::format("'{}'", e.link);
    if (e.attempt != 0) {
      out += fmt::format(" attempt {}: {}", e.attempt, to_string(e.outcome));
    } else {
      out += e.refused_by != policy_kind::cache
                 ? fmt::format(": refused by {}", to_string(e.refused_by))
             : e.code == errc::no_key   ? std::string(": no key for cache")
             : is_answer(e.outcome) ? std::string(": answered by cache")
                                    : std::string(": no answer in cache");
      if (!e.policy_name.view().empty()) out += fmt::format(" '{}'", e.policy_name.view());
    }
    if (e.code.failed() && e.code != errc::no_key) out += fmt::format(" ({})", e.code.message());
    if (e.attempt != 0) out += fmt::format(" in {}", detail::format_duration(e.took));
    out += '\n';
  }
  if (unrecorded_ > 0) out += fmt::format("and {} for which there was no memory\n", unrecorded_);
  if (answered_) {
    out += fmt::format("answered by {}: {}\n",
                       answered_by_.empty() ? std::string("the call") : answered_by_,
                       to_string(quality_));
  } else {
    out += "no answer\n";
  }
  return out;
}

void ledger::begin() noexcept {
  *this = ledger();
}

void ledger::record(entry e) noexcept {
  try {
    e.link = link_;
    entries_.push_back(std::move(e));
  } catch (const std::bad_alloc&) {
    ++unrecorded_;
  }
}

void ledger::enter_link(std::string_view name, holdfast::quality q) {
  link_ = name;
  link_begin_ = entries_.size();
  link_quality_ = q;
}

void ledger::leave_link(time_point started, duration took, verdict v,
                        boost::system::error_code code) noexcept {
  // A link that is a call or a pipeline has recorded its own attempts; a value has not.
  if (entries_.size() == link_begin_) {
    record({.link = {},
            .attempt = 1,
            .outcome = v,
            .code = code,
            .refused_by = policy_kind::none,
            .policy_name = {},
            .started = started,
            .took = took});
  }
  if (is_answer(v)) {
    try {
      answered_by_ = link_;
    } catch (const std::bad_alloc&) {
      ++unrecorded_;
    }
    quality_ = link_quality_;
  }
}

void ledger::answer_from_cache(std::string_view name, holdfast::quality q, verdict v,
                               time_point now) noexcept {
  record({.link = {},
          .attempt = 0,
          .outcome = v,
          .code = {},
          .refused_by = policy_kind::cache,
          .policy_name = short_name(name),
          .started = now,
          .took = duration::zero()});
  if (!is_answer(v)) return;
  if (link_.empty()) {
    quality_ = q;
  } else {
    grade_link(q);  // the link itself may be worth less
  }
}

void ledger::record_miss(std::string_view cache_name, bool without_key, time_point now) noexcept {
  record({.link = {},
          .attempt = 0,
          .outcome = verdict::neutral,
          .code = without_key ? make_error_code(errc::no_key) : boost::system::error_code(),
          .refused_by = policy_kind::cache,
          .policy_name = short_name(cache_name),
          .started = now,
          .took = duration::zero()});
}

void ledger::end(bool answered) noexcept {
  answered_ = answered;
}

}  // namespace holdfast
