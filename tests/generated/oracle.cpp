// SPDX-License-Identifier: BSL-1.0
#include "oracle.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gen {

namespace {

/// One operation, and the attempts that were made for it.
class examined {
 public:
  examined(world& w, int op)
      : w_(w), op_(op), o_(w.operations[static_cast<std::size_t>(op)]),
        c_(w.clients[static_cast<std::size_t>(op)]) {
    for (const attempt_record& a : w.attempts) {
      if (a.op == op) attempts_.push_back(&a);
      if (a.op < 0) others_ = true;
    }
  }

  void check() {
    if (!o_.begun || !o_.ended) return;
    if (o_.ended_away) fail("ended-away", "ended on another executor than its caller's");
    check_starts();
    check_time();
    check_exception();
    if (!o_.result) return;
    if (o_.result->has_value()) {
      check_answer(o_.result->assume_value().id());
    } else {
      check_failure(o_.result->assume_error());
    }
    check_numbers();
    check_repetition();
  }

 private:
  void fail(std::string kind, const std::string& what) {
    w_.complain(std::move(kind), fmt::format("operation {}: {}; {}", op_, what, history()));
  }

  std::string history() const {
    std::string h = fmt::format("it ended after {} with {}", text(o_.ended_at - o_.began),
                                text_of(o_.result, o_.exception));
    if (o_.cancelled_at.load() != hf::never) {
      h += fmt::format(", cancelled after {}", text(o_.cancelled_at.load() - o_.began));
    }
    for (const attempt_record* a : attempts_) {
      h += fmt::format("; {} {} (number {}) from {} to {}", a->link ? "link" : "attempt", a->serial,
                       a->number, text(a->began - o_.began), text(a->ended - o_.began));
      if (a->code) h += " failed: " + a->code.message();
    }
    return h;
  }

  bool cancelled() const { return o_.cancelled_at.load() != hf::never; }

  /// Nothing begins after the caller has gone or its time is over.
  void check_starts() {
    for (const attempt_record* a : attempts_) {
      if (w_.facts.refreshes && !a->link) continue;  // may be made in the background
      // A call in the caller's chain may forget the caller's cancellation for all: docs/threads.md.
      const bool forgets = w_.facts.attempt_limit == hf::duration::max() &&
                           w_.facts.whole_limit == hf::duration::max() &&
                           o_.deadline == hf::never && c_.call.has(move_kind::reset);
      if (a->began_seq > o_.cancelled_seq && !forgets) {
        fail("began-after-cancel", "an attempt began after the caller had cancelled");
      }
      if (o_.deadline != hf::never && a->began >= hf::saturating_add(o_.deadline, w_.slack)) {
        fail("began-late", "an attempt began after the deadline");
      }
    }
  }

  /// Ends when it must, or as soon as what was deaf then has ended.
  void check_time() {
    const bool leaves = w_.facts.whole_places >= w_.operations.size();
    hf::time_point due = o_.deadline;
    if (w_.facts.whole_limit != hf::duration::max()) {
      due = std::min(due, hf::saturating_add(o_.began, w_.facts.whole_limit));
    }
    if (leaves) due = hf::saturating_add(due, w_.facts.whole_grace);
    const bool left_behind = leaves && !cancelled();
    due = std::min(due, o_.cancelled_at.load());
    if (due == hf::never || others_) return;
    hf::time_point deaf = due;
    for (const attempt_record* a : attempts_) {
      if (left_behind || a->began_seq > o_.ended_seq) continue;
      deaf = std::max(deaf, a->running ? o_.ended_at : a->ended);
    }
    if (o_.ended_at > hf::saturating_add(deaf, w_.slack)) {
      fail(left_behind ? "not-left-behind" : "ended-late",
           fmt::format("was to end after {}", text(due - o_.began)));
    }
  }

  void check_exception() {
    if (!o_.exception) return;
    if (c_breaks_move() && thrown<thrown_by_move>(o_.exception)) return;
    fail("thrown", "ended with an exception");
  }

  template <class E>
  static bool thrown(const std::exception_ptr& e) {
    if (!e) return false;
    try {
      std::rethrow_exception(e);
    } catch (const E&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  bool c_breaks_move() const {
    return std::ranges::any_of(w_.clients, [](const client& c) {
      return std::ranges::any_of(c.call.acts, [](const act& a) { return a.breaks_move != 0; });
    }) || w_.facts.has('n');
  }

  void check_answer(int id) {
    if (id == -2 && w_.facts.has('v')) return;
    if (id == -3 && w_.facts.has('m')) return;
    if (id == -1 && w_.facts.has('n')) return;
    const bool given = std::ranges::any_of(w_.attempts, [&](const attempt_record& a) {
      return a.answer == id && (a.op == op_ || w_.facts.has('c'));
    });
    if (!given) fail("strange-answer", "has an answer that no attempt gave");
  }

  void check_failure(const hf::failure& f) {
    const error_code code = f.code();
    const hf::duration took = o_.ended_at - o_.began;
    const auto only_with = [&](hf::errc e, std::string_view kinds) {
      if (code == e && w_.facts.kinds.find_first_of(kinds) == std::string::npos) {
        fail("strange-code", "no policy of the stack gives that code");
      }
    };
    only_with(hf::errc::circuit_open, "bf");
    only_with(hf::errc::bulkhead_full, "ka");
    only_with(hf::errc::rate_limited, "l");
    only_with(hf::errc::shed, "oks");
    only_with(hf::errc::too_heavy, "k");
    only_with(hf::errc::attempt_timeout, "tbf");
    if (code == hf::errc::circuit_isolated || code == hf::errc::shutting_down) {
      fail("strange-code", "nothing was isolated or closed");
    }
    if (code == hf::errc::too_many_detached && !w_.facts.detaches) {
      fail("strange-code", "no timeout leaves anything behind");
    }
    const bool has_deadline = o_.deadline != hf::never;
    if ((code == hf::errc::total_timeout && !w_.facts.total && !has_deadline &&
         !w_.facts.refreshes && !w_.facts.has('c')) ||
        (code == hf::errc::deadline_too_near && !has_deadline && !w_.facts.has('t') &&
         !w_.facts.has('b') && !w_.facts.has('f') && !w_.facts.has('c'))) {
      fail("strange-code", "there is no such deadline");
    }
    if (code == hf::condition::timed_out && !w_.facts.has('c') && took < w_.facts.least_timeout &&
        o_.ended_at < o_.deadline) {
      fail("timeout-early", "no timeout can be over yet");
    }
    check_timed_attempt(code);
    if (code == hf::errc::cancelled && !o_.emitted && !w_.facts.has('c')) {
      fail("not-cancelled-by-caller", "the caller has not cancelled");
    }
    check_code_after_cancel(code);
    if (code == hf::errc::exception) {
      check_unknown_exception(f);
    } else if (code == asio::error::operation_aborted && !cancelled() && !said(code)) {
      fail("strange-code", "no attempt was aborted of itself");
    }
  }

  /// A timeout right around the call begins with the attempt, not before.
  void check_timed_attempt(const error_code& code) {
    if (code != hf::errc::attempt_timeout || w_.facts.innermost != w_.facts.least_timeout ||
        attempts_.empty() || w_.facts.has('h') || o_.deadline != hf::never) {
      return;
    }
    if (std::ranges::count(w_.facts.kinds, 't') > 1 || w_.facts.has('b') || w_.facts.has('n')) {
      return;
    }
    const attempt_record& last = *attempts_.back();
    if (!last.concluded || last.orphaned || last.running) return;
    if (last.ended - last.began < w_.facts.innermost) {
      fail("timeout-early", "the attempt had more time than it was given");
    }
  }

  /// The caller's cancellation is what ends an operation that ends after it, but for what its call
  /// still said.
  void check_code_after_cancel(const error_code& code) {
    if (!cancelled() || o_.ended_at <= o_.cancelled_at.load()) return;
    if (o_.deadline <= o_.cancelled_at.load()) return;
    if (code == hf::condition::timed_out &&
        !(w_.facts.has('t') || w_.facts.has('b') || w_.facts.has('f'))) {
      fail("code-after-cancel", "the caller had cancelled before any deadline");
    }
    if (code == asio::error::operation_aborted && !said(code)) {
      fail("code-after-cancel", "the caller's cancellation has another name");
    }
  }

  /// Whether an attempt ended so by its script.
  bool said(const error_code& code) const {
    if (code == asio::error::operation_aborted) {
      const auto aborts = [](const client& c) {
        return std::ranges::any_of(c.call.acts,
                                   [](const act& a) { return a.end == finish::aborted; });
      };
      return std::ranges::any_of(w_.clients, aborts) || w_.facts.has('n');
    }
    return true;
  }

  void check_unknown_exception(const hf::failure& f) {
    if (thrown<thrown_by_move>(f.exception()) && c_breaks_move()) return;
    if (thrown<thrown_by_function>(f.exception())) {
      fail("function-threw", "what a function of the user's threw became the result");
      return;
    }
    if (f.exception() && !thrown<std::runtime_error>(f.exception())) {
      fail("strange-exception", "an exception that no call threw");
      return;
    }
    const bool throws = w_.facts.has('n') || std::ranges::any_of(w_.clients, [](const client& c) {
      return std::ranges::any_of(c.call.acts,
                                 [](const act& a) { return a.end == finish::exception; });
    });
    if (!throws) fail("strange-exception", "an exception that no call threw");
  }

  /// Attempts are counted, and each has a number of its own.
  void check_numbers() {
    if (w_.facts.injects || w_.facts.refreshes || c_breaks_move() || w_.facts.has('c')) return;
    std::vector<unsigned> numbers;
    for (const attempt_record* a : attempts_) {
      if (!a->link && a->number != 0) numbers.push_back(a->number);
    }
    if (numbers.size() == o_.made) {
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (numbers[i] != i + 1) {
          fail("attempt-numbers", "the attempts are not numbered as they were made");
          return;
        }
      }
    }
    if (o_.result->has_error() && o_.result->assume_error().attempts() != o_.made) {
      fail("attempts-counted", fmt::format("attempts() is {}, and {} were made",
                                           o_.result->assume_error().attempts(), o_.made));
    }
  }

  /// Nothing is repeated that may have reached the service and may not happen twice.
  void check_repetition() {
    if (c_.idempotent || w_.facts.refreshes || w_.facts.has('h')) return;
    const attempt_record* before = nullptr;
    for (const attempt_record* a : attempts_) {
      if (a->link) continue;
      if (before && before->code == asio::error::connection_reset) {
        fail("repeated", "repeated a call that is not idempotent and had reached the service");
      }
      before = a;
    }
  }

  world& w_;
  int op_;
  operation_record& o_;
  const client& c_;
  std::vector<const attempt_record*> attempts_;
  bool others_ = false;
};

}  // namespace

void check_operations(world& w) {
  for (std::size_t i = 0; i < w.operations.size(); ++i) {
    const operation_record& o = w.operations[i];
    if (o.completions + o.drops != 1) {
      w.complain("not-once", fmt::format("operation {} completed {} times, was dropped {} times", i,
                                         o.completions.load(), o.drops.load()));
    }
    examined(w, static_cast<int>(i)).check();
  }
}

namespace {

/// No more calls are left behind at a time than the timeouts allow.
void check_left_behind(world& w) {
  if (!w.facts.detaches || w.gone) return;
  struct span {
    hf::time_point from;
    hf::time_point to;
  };
  std::vector<span> left;
  for (const attempt_record& a : w.attempts) {
    if (a.op < 0 || a.running) continue;
    const auto i = static_cast<std::size_t>(a.op);
    // A chain that is a temporary has timeouts of its own.
    if (!w.clients[i].awaited() || a.began_seq > w.operations[i].ended_seq) continue;
    if (a.ended > w.operations[i].ended_at) left.push_back({w.operations[i].ended_at, a.ended});
  }
  for (const span& one : left) {
    const auto at_that_time = std::ranges::count_if(left, [&](const span& s) {
      return s.from <= one.from && s.to > one.from;
    });
    if (at_that_time > w.facts.places) {
      w.complain("too-many-left", fmt::format("{} calls are left behind, and {} may be",
                                              at_that_time, w.facts.places));
    }
  }
}

}  // namespace

void check_rest(world& w, any_stack& stack) {
  if (w.frames != 0) w.complain("frames-left", fmt::format("{} frames are left", w.frames.load()));
  check_left_behind(w);
  stack.each_part([&w](part& p) { p.check_rest(w); });
}

void check_budget(world& w, const materials& m) {
  if (!m.budget || w.facts.refreshes) return;
  const std::uint64_t calls = m.budget->snapshot(w.now()).calls_in_window;
  if (calls > w.operations.size()) {
    w.complain("budget", fmt::format("a budget counts {} calls of {} operations", calls,
                                     w.operations.size()));
  }
}

}  // namespace gen
