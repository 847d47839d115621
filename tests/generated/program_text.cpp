// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>

#include "supervise.hpp"

namespace gen {

namespace {

/// Where the parts of a stack are asked how they are written, and nothing is run.
struct nowhere final : world {
  hf::time_point now() const override { return {}; }
  void later(hf::duration, asio::any_io_executor, asio::any_completion_handler<void()>) override {}
};

std::string_view context_text(context_kind c) {
  switch (c) {
    case context_kind::serial: return "asio::io_context context{1};";
    case context_kind::unhinted: return "asio::io_context context;";
    case context_kind::threads: return "asio::io_context context;  // run by four threads";
    case context_kind::pool: return "asio::thread_pool context{4};";
  }
  return "";
}

std::string_view executor_text(executor_kind e) {
  switch (e) {
    case executor_kind::plain: return "context.get_executor()";
    case executor_kind::strand: return "asio::make_strand(context.get_executor())";
    case executor_kind::strand_of_any:
      return "asio::make_strand(asio::any_io_executor(context.get_executor()))";
    case executor_kind::tracked:
      return "asio::prefer(context.get_executor(), asio::execution::outstanding_work.tracked)";
    case executor_kind::never_inline:
      return "asio::require(context.get_executor(), asio::execution::blocking.never)";
    case executor_kind::continuation:
      return "asio::prefer(context.get_executor(), asio::execution::relationship.continuation)";
    case executor_kind::own:
      return "gen::own_executor(context.get_executor(), owner)";  // generated/executors.hpp
  }
  return "";
}

std::string_view end_text(end_kind e) {
  switch (e) {
    case end_kind::completes: return "completes";
    case end_kind::drops_objects: return "the program lets go of the shared objects";
    case end_kind::drops_stack: return "the pipeline goes when all operations have ended";
    case end_kind::destroys: return "the context is destroyed";
  }
  return "";
}

std::string_view type_text(asio::cancellation_type t) {
  switch (t) {
    case asio::cancellation_type::total: return "asio::cancellation_type::total";
    case asio::cancellation_type::partial: return "asio::cancellation_type::partial";
    default: return "asio::cancellation_type::terminal";
  }
}

std::string_view failure_text(finish f) {
  switch (f) {
    case finish::fails: return "hf::failure(asio::error::connection_reset)";
    case finish::refused: return "hf::failure(asio::error::connection_refused)";
    case finish::exception:
      return "hf::failure(std::make_exception_ptr(std::runtime_error(\"\")))";
    case finish::bad_input: return "hf::failure(asio::error::invalid_argument)";
    case finish::aborted: return "hf::failure(asio::error::operation_aborted)";
    case finish::throttled: return "hf::failure(asio::error::try_again).with_retry_after(3ms)";
    case finish::answer: break;
  }
  return "";
}

/// Writes one call as a lambda.
class call_text {
 public:
  call_text(const script& s, std::string name, const std::string& index, std::string_view kind,
            bool named)
      : script_(s),
        kind_(kind),
        listens_(s.kind == call_kind::context || s.kind == call_kind::token),
        pause_(listens_ ? "pause(call, {})" : "hf::sleep_for({}, asio::use_awaitable)") {
    const bool returns = s.kind == call_kind::context;
    const std::string_view argument = listens_                         ? "hf::call_context& call"
                                      : s.kind == call_kind::reader ? "const hf::call_context& call"
                                                                       : "";
    line(2, "auto {} = [&]({}) -> asio::awaitable<{}> {{", name, argument,
         returns ? "hf::result<int>" : "int");
    if (!index.empty()) check_start(index, named);
    if (script_.acts.size() == 1) {
      write(script_.acts.front(), 4, returns);
    } else {
      line(4, "static int attempt = 0;  // of this test case's only run");
      line(4, "switch (++attempt) {{");
      for (std::size_t i = 0; i < script_.acts.size(); ++i) {
        const bool last = i + 1 == script_.acts.size();
        line(6, "{} {{", last ? "default:" : fmt::format("case {}:", i + 1));
        write(script_.acts[i], 8, returns);
        line(6, "}}");
      }
      line(4, "}}");
    }
    line(2, "}};");
  }
  const std::string& text() const { return text_; }

 private:
  template <class... Args>
  void line(int indent, fmt::format_string<Args...> f, Args&&... args) {
    text_.append(static_cast<std::size_t>(indent), ' ');
    fmt::format_to(std::back_inserter(text_), f, std::forward<Args>(args)...);
    text_ += '\n';
  }

  bool is(std::string_view kind) const { return kind_ == kind; }

  /// What is checked when an attempt begins.
  void check_start(const std::string& i, bool named) {
    const bool sees = listens_ || script_.kind == call_kind::reader;
    line(4, "++made_{};", i);
    if (is("attempt-away")) line(4, "CHECK(here());");
    if (is("attempt-numbers") && sees) line(4, "CHECK(call.attempt() == made_{});", i);
    if (is("attempt-late") && sees) line(4, "CHECK(time.now() < call.deadline());");
    if (is("began-late")) line(4, "CHECK(time.now() < due_{});", i);
    if (is("began-after-cancel")) line(4, "CHECK(!gone_{});", i);
    if (is("identity") && sees && named) line(4, "CHECK(call.tenant() == \"tenant\");");
  }

  /// Whether a wait was ended in time is seen right after it.
  void wait(int in, const std::string& what, hf::duration d) {
    const bool checked = is("not-cancelled") && listens_;
    if (checked) {
      line(in, "const auto t{} = time.now();", ++waits_);
      line(in, "std::exception_ptr ended_{};", waits_);
      line(in, "try {{");
      line(in, "  co_await {};", what);
      line(in, "}} catch (...) {{");
      line(in, "  ended_{} = std::current_exception();", waits_);
      line(in, "}}");
      line(in, "CHECK(time.now() - t{} <= {});", waits_, gen::text(d));
      line(in, "CHECK(time.now() <= std::max(t{}, call.deadline()));", waits_);
      line(in, "if (ended_{0}) std::rethrow_exception(ended_{0});", waits_);
    } else {
      line(in, "co_await {};", what);
    }
  }

  std::string pause(hf::duration d) const {
    return fmt::format(fmt::runtime(pause_), gen::text(d));
  }

  void write(const act& a, int in, bool returns) {
    for (const move& m : a.moves) write(m, in);
    if (a.end == finish::answer) {
      line(in, "co_return 1;{}", a.breaks_move ? "  // of a type whose move throws" : "");
    } else if (returns && !a.thrown) {
      line(in, "co_return {};", failure_text(a.end));
    } else {
      line(in, "{}.raise();", failure_text(a.end));
      line(in, "co_return 0;");
    }
  }

  void write(const move& m, int in) {
    const std::string time = gen::text(m.time);
    switch (m.kind) {
      case move_kind::wait: wait(in, pause(m.time), m.time); break;
      case move_kind::yield: line(in, "co_await asio::post(asio::deferred);"); break;
      case move_kind::deaf:
        line(in, "co_await hf::sleep_for({}, asio::bind_cancellation_slot("
                 "asio::cancellation_slot(), asio::deferred));", time);
        break;
      case move_kind::hop:
        line(in, "co_await asio::post(asio::bind_executor(elsewhere, asio::deferred));");
        break;
      case move_kind::home: line(in, "co_await asio::post(asio::deferred);"); break;
      case move_kind::foreign: line(in, "co_await called_back({});  // on elsewhere", time); break;
      case move_kind::either:
      case move_kind::both:
        wait(in, fmt::format("({} {} {})", pause(m.time), m.kind == move_kind::both ? "&&" : "||",
                             pause(m.other)),
             m.kind == move_kind::both ? std::max(m.time, m.other) : std::min(m.time, m.other));
        if (is("cancelled-by-sibling") && listens_) line(in, "CHECK(!call.cancelled());");
        break;
      case move_kind::reset:
        line(in, "co_await asio::this_coro::reset_cancellation_state();");
        break;
      case move_kind::ignore:
        line(in, "co_await asio::this_coro::throw_if_cancelled(false);");
        break;
      case move_kind::settle:
        if (listens_) line(in, "call.settle({});", m.units);
        break;
      case move_kind::nested:
        if (!listens_) break;
        line(in, "{{");
        line(in, "  const hf::circuit_breaker inner_breaker{{{{.consecutive_failures = 1}}}};");
        line(in, "  const auto inner = hf::pipeline().with(inner_breaker)"
                 ".with(hf::retry{{.max_attempts = 2, .wait = {{.base = 0ms}}}})"
                 ".with(hf::timeout{{2h}});");
        line(in, "  auto send = [](hf::call_context& c) -> asio::awaitable<int> {{");
        line(in, "    co_await hf::sleep_for({}, c.token());", time);
        if (m.units == 500) line(in, "    hf::failure(asio::error::connection_reset).raise();");
        line(in, "    co_return 1;");
        line(in, "  }};");
        line(in, "  hf::result<int> nested = co_await inner(send, call);");
        line(in, "  if (nested.has_error() && time.now() >= call.deadline()) {{");
        line(in, "    CHECK(nested.error().code() == hf::condition::timed_out);");
        line(in, "    CHECK(inner_breaker.state() != hf::breaker_state::closed);");
        line(in, "  }}");
        line(in, "}}");
        break;
    }
  }

  const script& script_;
  std::string_view kind_;
  int waits_ = 0;
  bool listens_;
  std::string pause_;
  std::string text_;
};

std::string options_text_of(const client& c, bool real) {
  std::string o;
  const auto add = [&o](std::string_view s) { (o += o.empty() ? "" : ", ") += s; };
  const std::string_view start = real ? "hf::clock::now()" : "time.now()";
  if (c.deadline != hf::duration::max()) {
    add(fmt::format(".deadline = {} + {}", start, text(c.deadline)));
  }
  if (!c.idempotent) add(".idempotent = false");
  if (c.cost != 1) add(fmt::format(".cost = {}", c.cost));
  if (c.named) add(".priority = hf::priority::low");
  if (c.weight != 1) add(fmt::format(".weight = {}", c.weight));
  if (c.named) add(".tags = &tags");
  if (c.key) add(c.key == 1 ? ".cache_key = \"one\"" : ".cache_key = \"two\"");
  if (c.named) add(".tenant = \"tenant\"");
  return "{" + o + "}";
}

/// What a failure of each kind is seen by when all has ended.
std::string check_text(const verdict_of& v, std::size_t operations) {
  const std::string_view kind = v.kind;
  if (kind == "permits-left") return "CHECK(bulkhead.in_use() == 0);";
  if (kind == "flights-left") return "CHECK(cache.snapshot().flights == 0);";
  if (kind == "timers-left") return "CHECK(time.timers() == 0);";
  if (kind == "probes-left") return "CHECK(breaker.snapshot(time.now()).probes_in_flight == 0);";
  if (kind == "breaker-blames") return "CHECK(breaker.state() == hf::breaker_state::closed);";
  if (kind == "executor-kept") return "home = {};\n  CHECK(owner.copies == 0);";
  if (kind == "context-busy") {
    return "home = {};\n  context.restart();\n  context.poll();\n  CHECK(context.stopped());";
  }
  if (kind == "budget") {
    return fmt::format("CHECK(budget.snapshot(time.now()).calls_in_window <= {});", operations);
  }
  if (kind == "costs") {
    return "CHECK(100'000'000 - limiter.snapshot(time.now()).available == " +
           v.what.substr(v.what.rfind(' ') + 1) + ");";
  }
  return {};
}

/// The same for one operation, from its result.
std::string check_result(std::string_view kind, const std::string& i) {
  if (kind == "attempts-counted") {
    return fmt::format("if (r.has_error()) CHECK(r.error().attempts() == made_{});", i);
  }
  if (kind == "function-threw" || kind == "strange-exception") {
    return "if (r.has_error()) CHECK(r.error().code() != hf::errc::exception);";
  }
  if (kind == "ended-away") return "CHECK(here());";
  if (kind == "ended-late" || kind == "not-left-behind" || kind == "not-cancelled") {
    return fmt::format("CHECK(time.now() <= due_{});  // and what its call is deaf for", i);
  }
  if (kind == "code-after-cancel") return "CHECK(r.error().code() == hf::errc::cancelled);";
  return {};
}

}  // namespace

namespace {

class program {
 public:
  program(const draw& d, bool real, const verdict_of& v)
      : real_(real), draw_(d), trial_(read(draw_, real)), verdict_(v), materials_(nowhere_) {
    stack_ = make_stack(draw_, materials_);
    stack_->each_part([this](part& p) { p.tell(nowhere_.facts); });
    leaves_ = std::ranges::any_of(trial_.clients, [](const client& c) {
      return c.hops || c.call.leaves();
    });
  }

  std::string text() {
    const std::string what = verdict_.what.substr(0, verdict_.what.find('\n'));
    text_ = fmt::format("// {}: {}\n// Ends: {}, step {}.\nTEST_CASE(\"generated: {}\") {{\n",
                        verdict_.kind, what, end_text(trial_.end.kind), trial_.end.step,
                        verdict_.kind);
    const bool destroys = trial_.end.kind == end_kind::destroys;
    policies();
    if (destroys) line("{");
    surroundings();
    for (std::size_t i = 0; i < trial_.clients.size(); ++i) one(i);
    run();
    if (destroys) line("}");
    if (verdict_.kind == "detached-left") later_operation();
    return text_ + "}\n";
  }

 private:
  void line(std::string_view l) { text_.append("  ").append(l) += '\n'; }

  void policies() {
    line("using namespace asio::experimental::awaitable_operators;");
    line("[[maybe_unused]] const auto pause = [](hf::call_context& c, hf::duration d) -> "
         "asio::awaitable<void> {");
    line("  co_await hf::sleep_for(d, c.token());");
    line("};");
    if (leaves_ || nowhere_.facts.has('n')) {
      line(real_ ? "asio::thread_pool elsewhere_context{2};"
                 : "asio::io_context elsewhere_context{1};");
      line("[[maybe_unused]] const auto elsewhere = elsewhere_context.get_executor();");
    }
    if (!materials_.budget_text.empty()) line(materials_.budget_text);
    stack_->each_part([this](part& p) {
      if (!p.declared.empty()) line(p.declared);
      if (const auto* l = dynamic_cast<const link_part*>(&p)) {
        text_ += call_text(l->plays(), "link", "", verdict_.kind, false).text();
      }
    });
    line("[[maybe_unused]] const auto guard = hf::pipeline()");
    stack_->each_part([this](part& p) { line("    " + p.added); });
    text_.back() = ';';
    text_ += '\n';
  }

  void surroundings() {
    line(context_text(trial_.place.context));
    if (!real_) {
      line(fmt::format("hf::testing::virtual_time time{{context, {}u}};", draw_.seed));
    } else {
      line("struct { auto now() const { return hf::clock::now(); } } time;");
    }
    if (trial_.place.executor == executor_kind::own) line("gen::own_executor::owner owner;");
    line(fmt::format("asio::any_io_executor home = {};", executor_text(trial_.place.executor)));
    line("[[maybe_unused]] const auto here = [&] {");
    line("  return context.get_executor().running_in_this_thread();");
    line("};");
    if (std::ranges::any_of(trial_.clients, &client::named)) {
      line("const hf::tag_set tags{{\"tag\", \"tag\"}};");
    }
    if (leaves_) {
      line("[[maybe_unused]] const auto called_back = [&](hf::duration d) {");
      line("  return asio::async_initiate<const asio::deferred_t, void()>(");
      line("      [&, d](auto handler) {");
      line("        auto shared = std::make_shared<decltype(handler)>(std::move(handler));");
      line("        hf::sleep_for(d, asio::bind_executor(context, [&, shared](auto) {");
      line("          asio::post(elsewhere, [shared] { std::move (*shared)(); });");
      line("        }));");
      line("      },");
      line("      asio::deferred);");
      line("};");
    }
    line("int ended = 0;");
  }

  /// When the operation is to end, as far as a line can say.
  std::string due_text(const client& c) const {
    hf::duration due = std::min(c.deadline, nowhere_.facts.whole_limit);
    if (c.cancels == cancel_when::later) due = std::min(due, c.cancels_after);
    if (c.cancels == cancel_when::before_first_step) due = hf::duration(0);
    return due == hf::duration::max() ? "hf::never" : "time.now() + " + gen::text(due);
  }

  void one(std::size_t n) {
    const client& c = trial_.clients[n];
    const std::string i = std::to_string(n);
    text_ += '\n';
    line(fmt::format("[[maybe_unused]] unsigned made_{} = 0;", i));
    line(fmt::format("[[maybe_unused]] bool gone_{} = false;", i));
    line(fmt::format("[[maybe_unused]] hf::time_point due_{} = {};", i, due_text(c)));
    text_ += call_text(c.call, "call_" + i, i, verdict_.kind, c.named).text();
    line(fmt::format("asio::cancellation_signal cancel_{};", i));
    if (c.caller == caller_kind::callback || c.caller == caller_kind::inside) {
      callback(c, i);
    } else {
      coroutine(c, i);
    }
    const std::string emit =
        fmt::format("gone_{0} = true; cancel_{0}.emit({1});", i, type_text(c.type));
    if (c.cancels == cancel_when::before_first_step) {
      line(emit);
    } else if (c.cancels == cancel_when::later) {
      line(fmt::format("hf::sleep_for({}, asio::bind_executor(home, [&](auto) {{ {} }}));",
                       gen::text(c.cancels_after), emit));
    }
  }

  void chain(const std::string& i, std::string_view indent) {
    line(fmt::format("{}hf::resilient(call_{})", indent, i));
    stack_->each_part([&](part& p) { line(std::string(indent) + "    " + p.added); });
  }

  void ends(const std::string& i, std::string_view indent) {
    line(fmt::format("{}++ended;", indent));
    line(fmt::format("{}INFO((r ? std::string(\"a value\") : r.error().message()));", indent));
    const std::string check = check_result(verdict_.kind, i);
    if (!check.empty()) line(std::string(indent) + check);
  }

  void callback(const client& c, const std::string& i) {
    const bool inside = c.caller == caller_kind::inside;
    if (inside) line("asio::post(home, [&] {");
    chain(i, "");
    line("(asio::bind_executor(home, asio::bind_cancellation_slot(");
    line(fmt::format("    cancel_{}.slot(), [&](hf::result<int> r) {{", i));
    ends(i, "      ");
    line("    })));");
    if (inside) line("});");
  }

  void coroutine(const client& c, const std::string& i) {
    line(fmt::format("auto client_{} = [&]() -> asio::awaitable<void> {{", i));
    if (c.listens_to_all || !c.awaited()) {
      line("  co_await asio::this_coro::reset_cancellation_state("
           "asio::enable_total_cancellation());");
    }
    if (c.start > 0ms) line(fmt::format("  co_await hf::sleep_for({});", gen::text(c.start)));
    if (c.start > 0ms) line(fmt::format("  due_{} = {};", i, due_text(c)));
    if (c.hops) {
      line("  co_await asio::post(asio::bind_executor(elsewhere, asio::deferred));");
    }
    if (c.awaited()) {
      line(fmt::format("  hf::result<int> r = co_await guard(call_{}, {});", i,
                       options_text_of(c, real_)));
    } else if (c.caller == caller_kind::deferred) {
      line("  hf::result<int> r = co_await");
      chain(i, "    ");
      line("    (asio::bind_executor(home, asio::deferred));");
    } else {
      line("  auto both = co_await asio::experimental::make_parallel_group(");
      chain(i, "    ");
      line("    (asio::bind_executor(home, asio::deferred)),");
      line("    asio::post(asio::bind_executor(home, asio::deferred)))");
      line("    .async_wait(asio::experimental::wait_for_all(), asio::deferred);");
      line("  hf::result<int> r = std::get<1>(both);");
    }
    ends(i, "  ");
    line("};");
    line(fmt::format("asio::co_spawn(home, client_{0}, asio::bind_cancellation_slot("
                     "cancel_{0}.slot(), asio::detached));", i));
  }

  void run() {
    text_ += '\n';
    if (trial_.end.kind == end_kind::destroys && !real_) {
      line(fmt::format("for (int i = 0; i < {} && time.step_one(); ++i) {{", trial_.end.step));
      line("}");
      return;
    }
    if (real_ && trial_.place.context == context_kind::pool) {
      line("context.join();");
    } else if (real_) {
      line("std::vector<std::jthread> threads;");
      line(fmt::format("for (int i = 0; i < {}; ++i) threads.emplace_back([&] {{ context.run(); }});",
                       trial_.place.context == context_kind::threads ? 4 : 1));
      line("threads.clear();");
    } else if (leaves_) {
      line("while (time.step_one() || (elsewhere_context.restart(), elsewhere_context.poll_one())) {");
      line("}");
    } else {
      line("time.run();");
    }
    line(fmt::format("CHECK(ended == {});", trial_.clients.size()));
    const std::string check = check_text(verdict_, trial_.clients.size());
    if (!check.empty()) line(check);
  }

  void later_operation() {
    line("asio::io_context later{1};");
    line("hf::testing::virtual_time time{later};");
    line("const auto once_more = [&]() -> asio::awaitable<void> {");
    line("  const auto ready = []() -> asio::awaitable<int> { co_return 1; };");
    line("  hf::result<int> r = co_await guard(ready);");
    line("  if (r.has_error()) CHECK(r.error().code() != hf::errc::too_many_detached);");
    line("};");
    line("asio::co_spawn(later, once_more, asio::detached);");
    line("time.run();");
  }

  bool real_;
  draw draw_;
  trial trial_;
  verdict_of verdict_;
  nowhere nowhere_;
  materials materials_;
  std::unique_ptr<any_stack> stack_;
  bool leaves_ = false;
  std::string text_;
};

}  // namespace

std::string program_text(const draw& d, bool real, const verdict_of& v) {
  return program(d, real, v).text();
}

std::string describe(draw d, bool real) {
  const trial t = read(d, real);
  std::string s = fmt::format("  stack '{}' on {} {}; end: {}, step {}\n", d.stack,
                              context_text(t.place.context), executor_text(t.place.executor),
                              end_text(t.end.kind), t.end.step);
  static constexpr const char* calls[] = {"opaque", "context", "reader", "token"};
  static constexpr const char* callers[] = {"awaits", "callback", "inside", "deferred", "group"};
  static constexpr const char* moves[] = {"wait", "yield", "deaf",  "hop",    "home",   "foreign",
                                          "either", "both", "reset", "ignore", "settle", "nested"};
  static constexpr const char* ends[] = {"answers",   "fails",  "refused",  "throws",
                                         "bad input", "aborts", "throttled"};
  for (const client& c : t.clients) {
    s += fmt::format("  {} call, {}", calls[static_cast<int>(c.call.kind)],
                     callers[static_cast<int>(c.caller)]);
    if (c.start > 0ms) s += fmt::format(", starts after {}", text(c.start));
    if (c.hops) s += ", hops";
    if (c.listens_to_all) s += ", hears all";
    if (c.cancels == cancel_when::before_first_step) s += ", cancels before its first step";
    if (c.cancels == cancel_when::later) s += ", cancels after " + text(c.cancels_after);
    if (c.cancels != cancel_when::never) s += fmt::format(" ({})", type_text(c.type));
    s += ", " + options_text_of(c, real) + "\n";
    for (const act& a : c.call.acts) {
      s += "    ";
      for (const move& m : a.moves) {
        s += fmt::format("{}({}, {}, {}) ", moves[static_cast<int>(m.kind)], text(m.time),
                         text(m.other), m.units);
      }
      s += ends[static_cast<int>(a.end)];
      s += a.thrown ? "\n" : ", returned\n";
    }
  }
  return s;
}

}  // namespace gen
