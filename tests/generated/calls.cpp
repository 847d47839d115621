// SPDX-License-Identifier: BSL-1.0
#include "calls.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <holdfast/resilient.hpp>
#include <stdexcept>

namespace gen {

namespace {

constexpr unsigned most_attempts = 40;  // a call that is asked more often gives in

const act& act_of(const captured& c, const attempt_record& a) {
  const auto& acts = c.plays().acts;
  return acts[std::min<std::size_t>(std::max(a.serial, 1u) - 1, acts.size() - 1)];
}

/// Is in the frame of an attempt: it ends when the frame does.
class attempt_guard {
 public:
  /// An operation's state may outlive its callable, since Asio destroys handlers first.
  attempt_guard(const captured& c, attempt_record& a, bool looks_back = true)
      : world_(c.in()), attempt_(a), callable_(c.watch()), looks_back_(looks_back) {
    ++world_.frames;
  }
  attempt_guard(const attempt_guard&) = delete;
  ~attempt_guard() {
    --world_.frames;
    if (looks_back_ && callable_.expired()) {
      world_.complain("callable-gone", "an attempt's frame outlived what its callable captured");
    }
    // In a context that goes there is no time any more.
    if (!world_.gone) {
      attempt_.ended = world_.now();
      if (attempt_.op >= 0) {
        attempt_.orphaned = world_.operations[static_cast<std::size_t>(attempt_.op)].ended;
      }
    }
    attempt_.running = false;
    --world_.running;
  }

 private:
  world& world_;
  attempt_record& attempt_;
  std::weak_ptr<int> callable_;
  bool looks_back_;
};

/// One player of a script: an attempt, and how it listens.
struct player {
  world& w;
  attempt_record& a;
  hf::call_context* listening;
  const hf::call_context* context;
  bool away = false;
  bool ignores = false;
  hf::time_point reset_at = hf::time_point::min();  // the last time
  bool in_group = false;

  /// When the attempt has been told to end, as far as is known from here.
  hf::time_point told_at() const {
    hf::time_point t = hf::never;
    if (a.op >= 0) {
      const operation_record& o = w.operations[static_cast<std::size_t>(a.op)];
      t = o.cancelled_at.load();
      // What runs in the background has another deadline than its caller.
      if (!w.facts.has('c')) t = std::min(t, o.deadline);
    }
    if (!a.link) {
      t = std::min(t, hf::saturating_add(a.began, w.facts.has('c') ? w.facts.shared_limit
                                                                   : w.facts.attempt_limit));
    }
    return std::min(t, a.deadline);
  }

  hf::time_point cancelled_at() const {
    return a.op < 0 ? hf::never
                    : w.operations[static_cast<std::size_t>(a.op)].cancelled_at.load();
  }

  /// Asio's `||` and `&&` start coroutines that hear terminal cancellation only.
  bool group_is_deaf() const {
    return in_group && a.op >= 0 &&
           w.clients[static_cast<std::size_t>(a.op)].type != asio::cancellation_type::terminal;
  }

  /// A wait that listens is over when its time is, or when the attempt is told to end.
  void check_wait(hf::time_point began, hf::duration d, bool aborted) const {
    const hf::time_point end = w.now();
    const hf::time_point told = told_at();
    const hf::time_point due = hf::saturating_add(began, d);
    if (!aborted && end < due) {
      w.complain("wait-short", fmt::format("a wait of {} took {}", text(d), text(end - began)));
    }
    // A coroutine that has reset its state, or does not throw, is told once only; a context stays
    // cancelled.
    // In the caller's chain such a coroutine forgets the caller for its context and for what
    // follows, too.
    const bool forgets =
        (!listening && reset_at >= told) ||
        (a.op >= 0 && told == cancelled_at() &&
         w.clients[static_cast<std::size_t>(a.op)].call.has(move_kind::reset));
    const bool deaf_by_itself =
        forgets || (!listening && ignores && began >= told) || group_is_deaf();
    const hf::time_point last = std::min(due, std::max(began, told));
    // The children of an opaque `a && b` are cancelled at the second look: docs/threads.md.
    const hf::duration look = in_group && !listening ? 2ms : 0ms;
    if (!deaf_by_itself && end > hf::saturating_add(last, w.slack + look)) {
      w.complain("not-cancelled",
                 fmt::format("a wait of {} that began {} into its attempt, which was told to end "
                             "after {}, ended after {}{}",
                             text(d), text(began - a.began),
                             told == hf::never ? "never" : text(told - a.began),
                             text(end - a.began), aborted ? ", aborted" : ""));
    }
    if (aborted && !may_be_aborted(end)) {
      w.complain("aborted-early", fmt::format("a wait of {} was aborted {} into its attempt, and "
                                              "no deadline had come (nearest: {}), nor was it "
                                              "cancelled",
                                              text(d), text(end - a.began),
                                              a.deadline == hf::never
                                                  ? "none"
                                                  : text(a.deadline - a.began)));
    }
  }

  bool may_be_aborted(hf::time_point t) const {
    if (a.op < 0 || w.facts.has('h') || w.facts.has('c')) return true;
    const operation_record& o = w.operations[static_cast<std::size_t>(a.op)];
    if (o.emitted || t >= o.deadline) return true;
    if (context) return t >= a.deadline;
    // An opaque call cannot see its deadline; no timeout is shorter than the shortest.
    return w.facts.least_timeout != hf::duration::max() &&
           t >= hf::saturating_add(o.began, w.facts.least_timeout);
  }

  asio::awaitable<void> pause(hf::duration d) {
    if (listening) {
      co_await hf::sleep_for(d, listening->token());
    } else {
      co_await hf::sleep_for(d);
    }
  }

  asio::awaitable<void> wait(hf::duration d) {
    const hf::time_point began = w.now();
    bool aborted = false;
    std::exception_ptr thrown;
    try {
      co_await pause(d);
    } catch (const boost::system::system_error& e) {
      aborted = e.code() == asio::error::operation_aborted;
      thrown = std::current_exception();
    }
    check_wait(began, d, aborted);
    if (thrown) std::rethrow_exception(thrown);
  }

  asio::awaitable<void> at_once(const move& m) {
    using namespace asio::experimental::awaitable_operators;
    const hf::time_point began = w.now();
    const bool either = m.kind == move_kind::either;
    const hf::duration d = either ? std::min(m.time, m.other) : std::max(m.time, m.other);
    std::exception_ptr thrown;
    try {
      if (either) {
        co_await (pause(m.time) || pause(m.other));
      } else {
        co_await (pause(m.time) && pause(m.other));
      }
    } catch (...) {
      thrown = std::current_exception();
    }
    in_group = true;
    check_wait(began, d, thrown != nullptr);
    in_group = false;
    if (listening && !thrown && listening->cancelled() && told_at() > w.now() &&
        !may_be_aborted(w.now())) {
      w.complain("cancelled-by-sibling", "a context says that it is cancelled, since one of two "
                                         "operations was that another had beaten");
    }
    if (thrown) std::rethrow_exception(thrown);
  }

  /// An interface with callbacks, that calls back from elsewhere.
  asio::awaitable<void> foreign(hf::duration d) {
    co_await asio::async_initiate<const asio::deferred_t, void()>(
        [this](auto handler, hf::duration after) {
          // Without work of the handler's executor, where it does not complete: docs/threads.md.
          w.later(after, w.elsewhere, [h = std::move(handler)]() mutable { std::move(h)(); });
        },
        asio::deferred, d);
    away = true;
  }

  asio::awaitable<void> go_home() {
    if (!away) co_return;
    co_await asio::post(asio::deferred);
    away = false;
  }

  asio::awaitable<void> nested(const move& m);

  /// Whether the script resets its state right after this move: a call that cleans up.
  static bool cleaner_after(const act& a, const move& m) {
    const std::size_t next = static_cast<std::size_t>(&m - a.moves.data()) + 1;
    return next < a.moves.size() && a.moves[next].kind == move_kind::reset;
  }

  asio::awaitable<void> make(const move& m) {
    const auto unheard = asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred);
    switch (m.kind) {
      case move_kind::wait:
        co_await go_home();
        co_await wait(m.time);
        break;
      case move_kind::yield:
        if (away) {
          co_await asio::post(asio::bind_executor(w.elsewhere, asio::deferred));
        } else {
          co_await asio::post(asio::deferred);
        }
        break;
      case move_kind::deaf:
        co_await go_home();
        co_await hf::sleep_for(m.time, unheard);
        break;
      case move_kind::hop:
        co_await asio::post(asio::bind_executor(w.elsewhere, asio::deferred));
        away = true;
        break;
      case move_kind::home: co_await go_home(); break;
      case move_kind::foreign: co_await foreign(m.time); break;
      case move_kind::either:
      case move_kind::both:
        co_await go_home();
        co_await at_once(m);
        break;
      case move_kind::reset:
        reset_at = w.now();
        co_await asio::this_coro::reset_cancellation_state();
        break;
      case move_kind::ignore:
        co_await asio::this_coro::throw_if_cancelled(false);
        ignores = true;
        break;
      case move_kind::settle:
        if (listening && !away) {
          listening->settle(m.units);
          a.settled = a.settled.value_or(0) + m.units;
        }
        break;
      case move_kind::nested:
        co_await go_home();
        if (listening) co_await nested(m);
        break;
    }
  }
};

/// A pipeline within the call, with the call's context as its parent.
asio::awaitable<void> player::nested(const move& m) {
  const hf::circuit_breaker breaker{{.consecutive_failures = 1}};
  const auto inner = hf::pipeline()
                         .with(breaker)
                         .with(hf::retry{.max_attempts = 2, .wait = {.base = 0ms}})
                         .with(hf::timeout{.after = 2h});
  unsigned sends = 0;
  auto send = [this, &sends, &m](hf::call_context& c) -> asio::awaitable<int> {
    ++sends;
    if (c.deadline() > a.deadline) {
      w.complain("nested-deadline", "a nested call's deadline is after its parent's");
    }
    if (c.tenant() != context->tenant() || c.priority() != context->priority() ||
        c.session() != context->session() || c.tag("tag") != context->tag("tag")) {
      w.complain("nested-identity", "a nested call runs under another name than its parent");
    }
    const hf::time_point began = w.now();
    bool aborted = false;
    try {
      co_await hf::sleep_for(m.time, c.token());
    } catch (const boost::system::system_error&) {
      aborted = true;
    }
    check_wait(began, m.time, aborted);
    if (aborted) throw boost::system::system_error(asio::error::operation_aborted);
    if (m.units == 3 && drawn_classes().settle) {
      c.settle(m.units);
      a.settled = a.settled.value_or(0) + m.units;
    }
    if (m.units == 500) throw boost::system::system_error(asio::error::connection_reset);
    co_return 1;
  };
  const hf::time_point began = w.now();
  const hf::result<int> r = co_await inner(send, *listening);
  a.own_sends = sends;
  if (a.op < 0) co_return;
  const operation_record& o = w.operations[static_cast<std::size_t>(a.op)];
  const client& c = w.clients[static_cast<std::size_t>(a.op)];
  const bool cancelled = o.emitted || w.facts.has('h');
  if (r.has_error()) {
    const error_code code = r.assume_error().code();
    if (code == hf::condition::cancelled && !cancelled && w.now() >= a.deadline) {
      w.complain("nested-code", "a nested operation that its parent's deadline ended says that the "
                                "caller cancelled it");
    }
    if (code == hf::condition::timed_out && !cancelled && began < a.deadline &&
        breaker.state() == hf::breaker_state::closed && sends > 0 && w.now() >= a.deadline &&
        m.time > 0ms) {
      w.complain("nested-unheard", "a nested breaker learned nothing of a call that its parent's "
                                   "deadline ended");
    }
  }
  if (!c.idempotent && sends > 1) {
    w.complain("repeated", "a nested pipeline repeated a call of an operation that is not "
                           "idempotent");
  }
}

hf::failure failure_of(finish f) {
  switch (f) {
    case finish::fails: return hf::failure(asio::error::connection_reset);
    case finish::refused: return hf::failure(asio::error::connection_refused);
    case finish::bad_input: return hf::failure(asio::error::invalid_argument);
    case finish::aborted: return hf::failure(asio::error::operation_aborted);
    case finish::throttled:
      return hf::failure(asio::error::try_again).with_retry_after(3ms);
    case finish::exception:
      return hf::failure(std::make_exception_ptr(std::runtime_error("the call threw")));
    case finish::answer: break;
  }
  return {};
}

int answer_of(const captured& c, const attempt_record& a) {
  return c.link() ? -1 : c.op() * 1000 + static_cast<int>(a.serial);
}

}  // namespace

attempt_record& open_attempt(const captured& c, const hf::call_context* context) {
  world& w = c.in();
  int op = c.op();
  // A link is made once for all operations, and knows whose it is by what it inherits.
  if (c.link() && context) op = static_cast<int>(context->session()) - 1;
  attempt_record& a = w.begin_attempt(op, c.link());
  if (!w.at_home()) {
    w.complain("attempt-away", "an attempt began on another executor than its caller's");
  }
  if (!context) return a;
  a.number = context->attempt();
  a.deadline = context->deadline();
  if (a.deadline != hf::never && w.now() >= hf::saturating_add(a.deadline, w.slack)) {
    w.complain("attempt-late", "an attempt began when its deadline had come");
  }
  if (op < 0) {
    if (std::ranges::all_of(w.clients, &client::awaited)) {
      w.complain("identity-link", "a link runs under no session, and each caller has one");
    }
    return a;
  }
  const client& mine = w.clients[static_cast<std::size_t>(op)];
  if (!mine.awaited()) return a;
  if (a.deadline > w.operations[static_cast<std::size_t>(op)].deadline && !w.facts.refreshes) {
    w.complain("deadline-lost", "an attempt's deadline is after its caller's");
  }
  const bool named = context->tenant() == "tenant" && context->tag("tag") == "tag" &&
                     context->priority() == hf::priority::low;
  if (mine.named && !named) {
    w.complain(c.link() ? "identity-link" : "identity",
               fmt::format("an attempt runs as tenant '{}', tag '{}', priority {}",
                           context->tenant(), context->tag("tag"),
                           to_string(context->priority())));
  }
  return a;
}

asio::awaitable<conclusion> play(const captured& c, attempt_record& a, hf::call_context* listening,
                                 const hf::call_context* context) {
  const attempt_guard guard(c, a);
  player p{c.in(), a, listening, context};
  const act& script = act_of(c, a);
  try {
    if (a.serial <= most_attempts) {
      for (const move& m : script.moves) {
        try {
          co_await p.make(m);
          continue;
        } catch (const boost::system::system_error& e) {
          if (e.code() != asio::error::operation_aborted || !p.cleaner_after(script, m)) throw;
        }
        // It is cancelled, and cleans up before it ends.
        p.reset_at = p.w.now();
        co_await asio::this_coro::reset_cancellation_state();
      }
    }
  } catch (const boost::system::system_error& e) {
    a.code = e.code();
    a.concluded = true;
    throw;
  } catch (...) {
    a.code = hf::errc::exception;
    a.concluded = true;
    throw;
  }
  if (p.ignores) co_await asio::this_coro::throw_if_cancelled(true);
  a.concluded = true;
  conclusion end;
  const finish how = a.serial > most_attempts ? finish::answer : script.end;
  if (how != finish::answer) {
    hf::failure f = failure_of(how);
    a.code = f.code();
    if (script.thrown || !listening) f.raise();
    end.failure = std::move(f);
    co_return end;
  }
  a.answer = answer_of(c, a);
  end.answer = value(*a.answer, a.serial > most_attempts ? 0 : script.breaks_move);
  co_return end;
}

struct token_attempt::guard : attempt_guard {
  using attempt_guard::attempt_guard;
};

token_attempt::token_attempt(const captured& c, attempt_record& a)
    : act_(&act_of(c, a)),
      attempt_(&a),
      answer_(answer_of(c, a)),
      guard_(std::make_unique<guard>(c, a, false)) {
  for (const move& m : act_->moves) {
    if (a.serial <= most_attempts && m.kind == move_kind::wait) lasts = m.time;
  }
}

token_attempt::~token_attempt() = default;

error_code token_attempt::conclude(error_code ec, value& answer) {
  const finish end = attempt_->serial > most_attempts ? finish::answer : act_->end;
  if (!ec && end != finish::answer) ec = failure_of(end).code();
  attempt_->concluded = true;
  attempt_->code = ec;
  if (!ec) {
    attempt_->answer = answer_;
    answer = value(answer_);
  }
  return ec;
}

}  // namespace gen
