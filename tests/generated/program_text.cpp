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
  call_text(const script& s, std::string name, bool checks_place)
      : script_(s), listens_(s.kind == call_kind::context || s.kind == call_kind::token),
        pause_(listens_ ? "pause(call, {})" : "hf::sleep_for({}, asio::use_awaitable)") {
    const bool returns = s.kind == call_kind::context;
    const std::string_view argument = listens_                         ? "hf::call_context& call"
                                      : s.kind == call_kind::reader ? "const hf::call_context&"
                                                                       : "";
    line(2, "auto {} = [&]({}) -> asio::awaitable<{}> {{", name, argument,
         returns ? "hf::result<int>" : "int");
    if (checks_place) line(4, "CHECK(here());");
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
      case move_kind::wait: line(in, "co_await {};", pause(m.time)); break;
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
        line(in, "co_await ({} {} {});", pause(m.time), m.kind == move_kind::both ? "&&" : "||",
             pause(m.other));
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
        line(in, "}}");
        break;
    }
  }

  const script& script_;
  bool listens_;
  std::string pause_;
  std::string text_;
};

std::string options_text_of(const client& c) {
  std::string o;
  const auto add = [&o](std::string_view s) { (o += o.empty() ? "" : ", ") += s; };
  const std::string start = "time.now()";
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

/// What a failure of each kind is seen by.
std::string check_text(std::string_view kind) {
  if (kind == "permits-left") return "  CHECK(bulkhead.in_use() == 0);\n";
  if (kind == "flights-left") return "  CHECK(cache.snapshot().flights == 0);\n";
  if (kind == "timers-left") return "  CHECK(time.timers() == 0);\n";
  if (kind == "probes-left") {
    return "  CHECK(breaker.snapshot(time.now()).probes_in_flight == 0);\n";
  }
  if (kind == "costs") {
    return "  CHECK(100'000'000 - limiter.snapshot(time.now()).available == 0);  // what is right?\n";
  }
  if (kind == "context-busy") return "  CHECK(context.stopped());\n";
  return {};
}

}  // namespace

std::string program_text(const draw& d, bool real, const verdict_of& v) {
  draw copy = d;
  const trial t = read(copy, real);
  nowhere w;
  materials m(w);
  const auto stack = make_stack(copy, m);
  std::string what = v.what.substr(0, v.what.find('\n'));
  std::string s = fmt::format("// {}: {}\n// Ends: {}{}.\nTEST_CASE(\"generated: {}\") {{\n", v.kind,
                              what, end_text(t.end.kind),
                              t.end.kind == end_kind::completes
                                  ? ""
                                  : fmt::format(", after step {}", t.end.step),
                              v.kind);
  const auto line = [&s](std::string_view l) { s.append("  ").append(l) += '\n'; };
  line(context_text(t.place.context));
  if (!real) line(fmt::format("hf::testing::virtual_time time{{context, {}u}};", d.seed));
  if (t.place.executor == executor_kind::own) line("gen::own_executor::owner owner;");
  line(fmt::format("const asio::any_io_executor home = {};", executor_text(t.place.executor)));
  const bool knows = t.place.executor != executor_kind::own;
  const bool leaves = std::ranges::any_of(t.clients, [](const client& c) {
    return c.hops || c.call.leaves();
  });
  if (knows) {
    line("const auto here = [&] { return context.get_executor().running_in_this_thread(); };");
  }
  if (leaves) {
    line(real ? "asio::thread_pool elsewhere_pool{2};" : "asio::io_context elsewhere_context{1};");
    line(fmt::format("const auto elsewhere = {}.get_executor();",
                     real ? "elsewhere_pool" : "elsewhere_context"));
  }
  if (std::ranges::any_of(t.clients, [](const client& c) { return c.named; })) {
    line("const hf::tag_set tags{{\"tag\", \"tag\"}};");
  }
  if (!m.budget_text.empty()) line(m.budget_text);
  bool has_link = false;
  stack->each_part([&](part& p) {
    if (!p.declared.empty()) line(p.declared);
    if (const auto* l = dynamic_cast<const link_part*>(&p)) {
      has_link = true;
      line("const auto pause = [](hf::call_context& c, hf::duration d) -> asio::awaitable<void> {");
      line("  co_await hf::sleep_for(d, c.token());");
      line("};");
      s += call_text(l->plays(), "link", false).text();
    }
  });
  line("const auto guard = hf::pipeline()");
  stack->each_part([&](part& p) { line("    " + p.added); });
  s.back() = ';';
  s += '\n';
  if (!has_link) {
    line("const auto pause = [](hf::call_context& c, hf::duration d) -> asio::awaitable<void> {");
    line("  co_await hf::sleep_for(d, c.token());");
    line("};");
  }
  if (leaves) {
    line("const auto called_back = [&](hf::duration d) {");
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
  line("using namespace asio::experimental::awaitable_operators;");
  line("int ended = 0;");
  for (std::size_t i = 0; i < t.clients.size(); ++i) {
    const client& c = t.clients[i];
    s += '\n';
    s += call_text(c.call, fmt::format("call_{}", i), knows).text();
    line(fmt::format("asio::cancellation_signal cancel_{};", i));
    line(fmt::format("auto client_{} = [&]() -> asio::awaitable<void> {{", i));
    if (c.listens_to_all) {
      line("  co_await asio::this_coro::reset_cancellation_state("
           "asio::enable_total_cancellation());");
    }
    if (c.start > 0ms) line(fmt::format("  co_await hf::sleep_for({});", text(c.start)));
    if (c.hops) {
      line("  co_await asio::post(asio::bind_executor(elsewhere, asio::deferred));");
    }
    if (c.awaited()) {
      line(fmt::format("  hf::result<int> r = co_await guard(call_{}, {});", i,
                       options_text_of(c)));
    } else {
      line(fmt::format("  // As a chain, started {}:",
                       c.caller == caller_kind::callback ? "with a callback, from outside"
                       : c.caller == caller_kind::inside ? "with a callback, from within"
                       : c.caller == caller_kind::group  ? "in a parallel_group"
                                                         : "with asio::deferred"));
      line(fmt::format("  hf::result<int> r = co_await hf::resilient(call_{})", i));
      stack->each_part([&](part& p) { line("      " + p.added); });
      line("      ;");
    }
    line("  ++ended;");
    line("  INFO((r ? std::string(\"a value\") : r.error().message()));");
    if (knows) line("  CHECK(here());");
    line("};");
    line(fmt::format("asio::co_spawn(home, client_{0}, asio::bind_cancellation_slot("
                     "cancel_{0}.slot(), asio::detached));", i));
    if (c.cancels == cancel_when::before_first_step) {
      line(fmt::format("cancel_{}.emit({});", i, type_text(c.type)));
    } else if (c.cancels == cancel_when::later) {
      line(fmt::format("hf::sleep_for({}, asio::bind_executor(home, [&](auto) {{ cancel_{}.emit({}); "
                       "}}));", text(c.cancels_after), i, type_text(c.type)));
    }
  }
  s += '\n';
  if (real) {
    if (t.place.context == context_kind::pool) {
      line("context.join();");
    } else {
      line("std::vector<std::jthread> threads;");
      line(fmt::format("for (int i = 0; i < {}; ++i) threads.emplace_back([&] {{ context.run(); }});",
                       t.place.context == context_kind::threads ? 4 : 1));
      line("threads.clear();");
    }
  } else if (leaves) {
    line("while (time.step_one() || (elsewhere_context.restart(), elsewhere_context.poll_one())) {");
    line("}");
  } else {
    line("time.run();");
  }
  line(fmt::format("CHECK(ended == {});", t.clients.size()));
  s += check_text(v.kind);
  return s + "}\n";
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
    s += ", " + options_text_of(c) + "\n";
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
