// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/errc.hpp>
#include <catch2/catch_all.hpp>
#include <deque>
#include <exception>
#include <functional>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/allocations.hpp"
#include "../support/asio_version.hpp"

/// \file
/// Runs a scenario once to count its steps, then again and again: cancelled at each step in turn,
/// with its executor destroyed at each step in turn, without memory for each allocation in turn.
/// Afterwards everything must be at rest.

namespace sweep {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using boost::system::error_code;

/// What is alive, and what has ended how. Outlives the execution context.
struct census {
  int frames = 0;           // frames of calls
  int callables = 0;        // callables, copies included
  int captures_lost = 0;    // frames that outlived the captures of their callable
  unsigned calls_made = 0;  // attempts that reached the subject's call or its fallback's
};

/// What a call does: one entry per attempt; the last one repeats.
struct act {
  hf::duration lasts;
  bool fails = false;
  bool stubborn = false;  // deaf to cancellation
};
using script = std::vector<act>;

inline error_code failed_code() {
  return boost::system::errc::make_error_code(boost::system::errc::connection_reset);
}

/// Counts as long as it is captured by a callable.
class capture {
 public:
  capture(census& c, script s)
      : census_(&c), script_(std::move(s)), own_(std::make_shared<int>(1)) {
    ++census_->callables;
  }
  capture(const capture& o)
      : census_(o.census_),
        script_(o.script_),
        own_(std::make_shared<int>(*o.own_)),
        made_(o.made_) {
    ++census_->callables;
  }
  capture(capture&& o) noexcept
      : census_(o.census_), script_(std::move(o.script_)), own_(std::move(o.own_)), made_(o.made_) {
    ++census_->callables;
  }
  capture& operator=(const capture&) = delete;
  ~capture() { --census_->callables; }

  act next() {
    ++census_->calls_made;
    return script_[std::min(made_++, script_.size() - 1)];
  }
  census& counts() const { return *census_; }
  std::weak_ptr<int> watch() const { return own_; }

 private:
  census* census_;
  script script_;
  std::shared_ptr<int> own_;
  std::size_t made_ = 0;
};

/// Lives in the frame of a call, and at its end still needs what the callable captured.
class frame_guard {
 public:
  explicit frame_guard(const capture& c) : census_(&c.counts()), captured_(c.watch()) {
    ++census_->frames;
  }
  /// In the state of an operation: Asio destroys the handler, and with it whoever waits, first.
  frame_guard(const capture& c, std::nullptr_t) : census_(&c.counts()), captured_(c.watch()) {
    ++census_->frames;
    looks_back_ = false;
  }
  frame_guard(const frame_guard&) = delete;
  ~frame_guard() {
    --census_->frames;
    if (looks_back_ && captured_.expired()) ++census_->captures_lost;
  }

 private:
  census* census_;
  std::weak_ptr<int> captured_;
  bool looks_back_ = true;
};

inline auto deaf_token() {
  return asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred);
}

// The four kinds of call. They count in the call operator, before the coroutine runs, so that an
// attempt that is made and then never started is seen too.

struct plain_call {
  static constexpr auto kind = "an opaque awaitable";
  capture captured;
  asio::awaitable<int> operator()() { return run(captured.next()); }
  asio::awaitable<int> run(act a) {
    const frame_guard guard(captured);
    if (a.stubborn) {
      co_await hf::sleep_for(a.lasts, deaf_token());
    } else {
      co_await hf::sleep_for(a.lasts);
    }
    if (a.fails) throw boost::system::system_error(failed_code());
    co_return 7;
  }
};

struct context_call {
  static constexpr auto kind = "a call that takes a context";
  capture captured;
  asio::awaitable<int> operator()(hf::call_context& ctx) { return run(ctx, captured.next()); }
  asio::awaitable<int> run(hf::call_context& ctx, act a) {
    const frame_guard guard(captured);
    if (a.stubborn) {
      co_await hf::sleep_for(a.lasts, deaf_token());
    } else {
      co_await hf::sleep_for(a.lasts, ctx.token());
    }
    if (a.fails) throw boost::system::system_error(failed_code());
    co_return 7;
  }
};

struct reader_call {
  static constexpr auto kind = "a call that reads a context";
  capture captured;
  asio::awaitable<int> operator()(const hf::call_context& ctx) { return run(ctx, captured.next()); }
  asio::awaitable<int> run(const hf::call_context& ctx, act a) {
    const frame_guard guard(captured);
    if (a.stubborn) {
      co_await hf::sleep_for(a.lasts, deaf_token());
    } else {
      co_await hf::sleep_for(a.lasts);
    }
    if (a.fails) throw boost::system::system_error(failed_code());
    co_return static_cast<int>(ctx.attempt()) * 0 + 7;
  }
};

/// A composed operation; it keeps its guard until it completes.
struct token_operation {
  act a;
  std::unique_ptr<frame_guard> guard;
  bool started = false;

  template <class Self>
  void operator()(Self& self, error_code ec = {}) {
    if (!started) {
      started = true;
      self.reset_cancellation_state(asio::enable_total_cancellation());
      const hf::duration lasts = a.lasts;
      if (a.stubborn) {
        hf::sleep_for(lasts, asio::bind_cancellation_slot(asio::cancellation_slot(),
                                                          std::move(self)));
      } else {
        hf::sleep_for(lasts, std::move(self));
      }
      return;
    }
    guard.reset();
    self.complete(ec ? ec : a.fails ? failed_code() : error_code(), 7);
  }
};

struct token_call {
  static constexpr auto kind = "a completion-token function";
  capture captured;
  template <class Token>
  auto operator()(Token&& token) {
    const act a = captured.next();
    return asio::async_compose<Token, void(error_code, int)>(
        token_operation{a, std::make_unique<frame_guard>(captured, nullptr)}, token);
  }
};

/// Which allocation of an operation fails, from its first line to its end.
struct shortage {
  std::uint64_t after;
  support::no_memory::lasting lasting;
  bool struck = false;
};

/// One operation and its end: its handler is called once, or dropped once.
struct ending {
  int completed = 0;
  int dropped = 0;
  std::optional<hf::result<int>> outcome;
  std::exception_ptr exception;
  hf::time_point at{};
  bool listening = false;  // to the kind of cancellation that strikes it
  std::optional<shortage> scarce;

  bool once() const { return completed + dropped == 1; }
};

class end_handler {
 public:
  end_handler(ending& e, hf::testing::virtual_time& time) : ending_(&e), time_(&time) {}
  end_handler(end_handler&& o) noexcept
      : ending_(std::exchange(o.ending_, nullptr)), time_(o.time_) {}
  ~end_handler() {
    if (ending_) ++ending_->dropped;
  }
  void operator()(std::exception_ptr e) {
    ending& end = *std::exchange(ending_, nullptr);
    ++end.completed;
    end.exception = std::move(e);
    end.at = time_->now();
  }

 private:
  ending* ending_;
  hf::testing::virtual_time* time_;
};

/// Everything one run needs. Members after the context are destroyed with it, or before.
struct world {
  census counts;        // of the subject
  census other_counts;  // of the operations around it
  hf::circuit_breaker breaker{{.name = "breaker",
                               .consecutive_failures = 3,
                               .open_for = 10ms,
                               .half_open_probes = 1}};
  hf::bulkhead bulkhead{{.name = "bulkhead", .limit = 1, .queue = 4}};
  ending subject;
  std::deque<ending> others;
  asio::cancellation_signal cancel;

  std::optional<asio::io_context> context;
  std::optional<hf::testing::virtual_time> time;
  asio::any_io_executor executor;

  void destroy_context() {
    executor = {};
    time.reset();
    context.reset();
  }
  ~world() { destroy_context(); }
};

template <class Pipeline, class Call>
asio::awaitable<void> one_operation(Pipeline pipeline, Call call, ending& end, bool total) {
  if (total) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  }
  end.listening = true;
  std::optional<support::no_memory> memory;
  if (end.scarce) memory.emplace(end.scarce->after, end.scarce->lasting);
  const auto relieve = [&] {
    if (!memory) return;
    memory->stop();
    end.scarce->struck = memory->has_failed();
  };
  try {
    end.outcome.emplace(co_await pipeline(std::move(call)));
  } catch (...) {
    relieve();
    throw;
  }
  relieve();
}

/// Starts an operation that nobody cancels.
template <class Pipeline, class Call>
void start_other(world& w, Pipeline pipeline, Call call) {
  ending& end = w.others.emplace_back();
  // Told where it ends: Asio then needs no memory for that.
  asio::co_spawn(w.executor, one_operation(std::move(pipeline), std::move(call), end, false),
                 asio::bind_executor(asio::system_executor(), end_handler(end, *w.time)));
}

/// Leaves chains behind to be used again: to spawn one without any memory is beyond Asio.
inline void warm_up(world& w) {
  for (int i = 0; i < 4; ++i) {
    start_other(w, hf::pipeline().with(hf::timeout(1h)),
                plain_call{capture(w.other_counts, {{.lasts = 1ms}})});
  }
  w.time->run();
}

enum class place { serial_context, strand, any_thread, never_inline };
enum class blow { none, terminal, total, terminal_queued, destroy, no_memory, no_more_memory };

inline std::string name_of(place p) {
  switch (p) {
    case place::serial_context: return "io_context{1}";
    case place::strand: return "strand";
    case place::any_thread: return "io_context";
    case place::never_inline: return "an executor that never runs anything inline";
  }
  return {};
}
inline std::string name_of(blow b) {
  switch (b) {
    case blow::none: return "nothing";
    case blow::terminal: return "terminal cancellation";
    case blow::total: return "total cancellation";
    case blow::terminal_queued: return "terminal cancellation, queued";
    case blow::destroy: return "destruction";
    case blow::no_memory: return "an allocation that fails";
    case blow::no_more_memory: return "no memory any more";
  }
  return {};
}

inline bool thrown_bad_alloc(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
  }
  return false;
}

struct scenario {
  std::string name;
  script acts;
  /// Brings the world into the state in which the subject starts.
  std::function<void(world&)> prepare = [](world&) {};
  /// Whether a cancelled subject must end without any time passing.
  bool ends_at_once = true;
  /// Whether a call may still be made after the subject was cancelled, in the background.
  bool calls_go_on = false;
  /// Whether something is posted meanwhile, for which there would be no memory either.
  bool posts = false;
  /// What the subject must give when nobody disturbs it.
  std::function<bool(const hf::result<int>&)> expect = [](const auto& r) { return r.has_value(); };
};

constexpr int to_the_end = -1;

/// Runs the scenario up to `steps`, strikes, and runs it to its end. Returns the steps made. Where
/// memory is short a step is an allocation, and what is returned is whether there were as many.
template <class Call, class MakePipeline>
int run(const scenario& s, MakePipeline make_pipeline, place where, blow b, int steps) {
  INFO("scenario: " << s.name << "; on: " << name_of(where) << "; " << name_of(b) << " at step "
                    << steps);
  world w;
  if (where == place::any_thread || where == place::never_inline) {
    w.context.emplace();
  } else {
    w.context.emplace(1);
  }
  w.time.emplace(*w.context, 7);
  if (where == place::strand) {
    w.executor = asio::make_strand(w.context->get_executor());
  } else if (where == place::never_inline) {
    w.executor = asio::require(w.context->get_executor(), asio::execution::blocking.never);
  } else {
    w.executor = w.context->get_executor();
  }
  if (b == blow::no_more_memory) warm_up(w);
  s.prepare(w);

  const bool scarce = b == blow::no_memory || b == blow::no_more_memory;
  if (scarce) {
    w.subject.scarce = {.after = static_cast<std::uint64_t>(steps),
                        .lasting = b == blow::no_memory
                                       ? support::no_memory::lasting::once
                                       : support::no_memory::lasting::from_then_on};
    steps = to_the_end;
  }

  const unsigned made_before = w.counts.calls_made;
  asio::co_spawn(w.executor,
                 one_operation(make_pipeline(w), Call{capture(w.counts, s.acts)}, w.subject,
                               b == blow::total),
                 asio::bind_cancellation_slot(w.cancel.slot(), end_handler(w.subject, *w.time)));

  int made_steps = 0;
  std::optional<unsigned> calls_at_cancel;
  bool heard = false;
  hf::time_point cancelled_at{};
  const auto drive = [&] {
    while (made_steps != steps && w.time->step_one()) ++made_steps;
    if (b == blow::terminal || b == blow::total || b == blow::terminal_queued) {
      cancelled_at = w.time->now();
      // Before its first line a coroutine of Asio's hears terminal cancellation only.
      heard = w.subject.listening || b != blow::total;
      if (w.subject.completed == 0) {
        w.cancel.emit(b == blow::total ? asio::cancellation_type::total
                                       : asio::cancellation_type::terminal);
        // A queued one lets what was ready before it run first.
        if (heard && b != blow::terminal_queued) calls_at_cancel = w.counts.calls_made;
      }
    }
  };
  if (b == blow::terminal || b == blow::total) {
    // From within a handler, so that the cancellation strikes here and not behind what is queued.
    asio::post(*w.context, drive);
    w.context->poll_one();
    if (w.context->stopped()) w.context->restart();
  } else {
    drive();
  }
  if (b == blow::destroy) {
    w.destroy_context();
  } else {
    w.time->run();
    CHECK(w.subject.completed == 1);
    CHECK(w.counts.frames == 0);
    for (const ending& o : w.others) {
      CHECK(o.completed == 1);
      CHECK(o.outcome);
    }
    if (b == blow::none) {
      CHECK(!w.subject.exception);
      CHECK(w.subject.outcome);
      if (w.subject.outcome) CHECK(s.expect(*w.subject.outcome));
      CHECK(w.counts.calls_made > made_before);
    } else if (scarce) {
      CHECK((w.subject.outcome || thrown_bad_alloc(w.subject.exception)));
    } else if (w.subject.outcome && w.subject.outcome->has_error() &&
               !s.expect(*w.subject.outcome)) {
      // An undisturbed run gives something else, so this must be the cancellation.
      // Or the call's own failure, on its way when the cancellation came.
      const auto code = w.subject.outcome->error().code();
      CHECK((code == hf::condition::cancelled || code == failed_code()));
    }
    if (s.ends_at_once && heard && cancelled_at != hf::time_point() &&
        w.subject.at > cancelled_at) {
      FAIL_CHECK("the operation went on after its cancellation");
    }
    if (calls_at_cancel && where == place::serial_context && !s.calls_go_on) {
      CHECK(w.counts.calls_made - *calls_at_cancel == 0);
    }
  }
  CHECK(w.bulkhead.in_use() == 0);
  CHECK(w.bulkhead.waiting() == 0);
  CHECK(w.breaker.snapshot(hf::time_point::max()).probes_in_flight == 0);
  CHECK(w.breaker.snapshot(hf::time_point(2h)).hanging == 0);
  w.destroy_context();
  CHECK(w.subject.once());
  for (const ending& o : w.others) CHECK(o.once());
  for (const census* c : {&w.counts, &w.other_counts}) {
    CHECK(c->frames == 0);
    CHECK(c->callables == 0);
    CHECK(c->captures_lost == 0);
  }
  return scarce ? w.subject.scarce->struck : made_steps;
}

template <class Call, class MakePipeline>
void sweep_call(const scenario& s, MakePipeline make_pipeline, place where) {
  const int steps = run<Call>(s, make_pipeline, where, blow::none, to_the_end);
  CHECK(steps >= 2);
  for (const blow b : {blow::terminal, blow::total, blow::terminal_queued, blow::destroy}) {
    const bool not_at_first = b == blow::terminal_queued && !test::hears_before_first_step;
    for (int at = not_at_first ? 1 : 0; at <= steps; ++at) {
      run<Call>(s, make_pipeline, where, b, at);
    }
  }
  // Not where Asio itself does not survive it: its strands allocate in destructors, and what a
  // composed operation finds no memory for it throws out of its initiation, past whoever waits.
  if (where != place::serial_context || std::same_as<Call, token_call> || s.posts) return;
  for (const blow b : {blow::no_memory, blow::no_more_memory}) {
    int at = 0;
    while (run<Call>(s, make_pipeline, where, b, at) != 0) ++at;
    CHECK(at > 0);
  }
}

/// Sweeps a scenario with some kinds of call, on every kind of executor.
template <class... Calls, class MakePipeline>
void sweep_calls(const scenario& s, MakePipeline make_pipeline) {
  for (const place where :
       {place::serial_context, place::strand, place::any_thread, place::never_inline}) {
    const auto sweep_one = [&]<class Call>(std::type_identity<Call>) {
      INFO(Call::kind);
      sweep_call<Call>(s, make_pipeline, where);
    };
    (sweep_one(std::type_identity<Calls>()), ...);
  }
}

/// With every kind of call: for what makes and cancels attempts.
template <class MakePipeline>
void sweep_all(const scenario& s, MakePipeline make_pipeline) {
  sweep_calls<plain_call, context_call, reader_call, token_call>(s, make_pipeline);
}

/// With one call of each way to be cancelled: for policies that do not see the call. (Each kind is a
/// lot to compile.)
template <class MakePipeline>
void sweep_policy(const scenario& s, MakePipeline make_pipeline) {
  sweep_calls<plain_call, context_call>(s, make_pipeline);
}

}  // namespace sweep
