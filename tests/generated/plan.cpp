// SPDX-License-Identifier: BSL-1.0
#include "plan.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace gen {

namespace {

struct named_class {
  std::string_view name;
  bool classes::*member;
};
constexpr std::array all_classes{
    named_class{"hop", &classes::hop},           named_class{"foreign", &classes::foreign},
    named_class{"deaf", &classes::deaf},         named_class{"reset", &classes::reset},
    named_class{"both", &classes::both},         named_class{"nested", &classes::nested},
    named_class{"settle", &classes::settle},     named_class{"throws", &classes::throws},
    named_class{"moves", &classes::moves},       named_class{"cancel", &classes::cancel},
    named_class{"deadline", &classes::deadline}, named_class{"chain", &classes::chain},
    named_class{"orphan", &classes::orphan},     named_class{"destroy", &classes::destroy},
    named_class{"drop", &classes::drop},         named_class{"executors", &classes::executors},
    named_class{"options", &classes::options}};

bool allowed(move_kind k) {
  const classes& c = drawn_classes();
  switch (k) {
    case move_kind::hop: return c.hop;
    case move_kind::foreign: return c.foreign;
    case move_kind::deaf: return c.deaf;
    case move_kind::reset:
    case move_kind::ignore: return c.reset;
    case move_kind::either:
    case move_kind::both: return c.both;
    case move_kind::nested: return c.nested;
    case move_kind::settle: return c.settle;
    default: return true;
  }
}

move draw_move(source& s) {
  move m;
  m.kind = s.one_of({move_kind::wait, move_kind::wait, move_kind::wait, move_kind::yield,
                     move_kind::deaf, move_kind::hop, move_kind::home, move_kind::foreign,
                     move_kind::either, move_kind::both, move_kind::reset, move_kind::ignore,
                     move_kind::settle, move_kind::nested});
  m.time = s.time();
  m.other = s.time();
  m.units = s.one_of<std::uint32_t>({10, 0, 1, 3, 500});
  if (!allowed(m.kind)) m.kind = move_kind::wait;
  return m;
}

act draw_act(source& s) {
  act a;
  a.moves.resize(s.one_of<std::uint32_t>({0, 1, 1, 2, 2, 3}));
  for (move& m : a.moves) m = draw_move(s);
  a.end = s.one_of({finish::answer, finish::answer, finish::answer, finish::fails, finish::fails,
                    finish::refused, finish::exception, finish::bad_input, finish::aborted,
                    finish::throttled});
  a.thrown = s.pick(2) == 0;
  const std::uint32_t breaks = s.pick(40);
  if (drawn_classes().moves && breaks >= 35) a.breaks_move = static_cast<int>(breaks - 34);
  return a;
}

}  // namespace

classes& drawn_classes() {
  static classes c;
  return c;
}

bool classes::leave_out(std::string_view list) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const std::string_view name = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const auto found = std::ranges::find(all_classes, name, &named_class::name);
    if (found == all_classes.end()) return false;
    this->*found->member = false;
  }
  return true;
}

std::string classes::names() {
  std::string all;
  for (const named_class& c : all_classes) (all += all.empty() ? "" : ",") += c.name;
  return all;
}

bool script::has(move_kind k) const {
  return std::ranges::any_of(acts, [k](const act& a) {
    return std::ranges::any_of(a.moves, [k](const move& m) { return m.kind == k; });
  });
}

script draw_script(source& s, bool is_link) {
  script c;
  c.kind = is_link ? call_kind::context
                   : s.one_of({call_kind::opaque, call_kind::context, call_kind::context,
                               call_kind::reader, call_kind::token});
  c.acts.resize(1 + s.one_of<std::uint32_t>({0, 0, 1, 2}));
  for (act& a : c.acts) a = draw_act(s);
  return c;
}

client draw_client(source& s) {
  const classes& allow = drawn_classes();
  client c;
  c.call = draw_script(s, false);
  c.caller = s.one_of({caller_kind::awaits, caller_kind::awaits, caller_kind::awaits,
                       caller_kind::callback, caller_kind::inside, caller_kind::deferred,
                       caller_kind::group});
  if (!allow.chain) c.caller = caller_kind::awaits;
  c.start = s.pick(3) < 2 ? hf::duration(0) : s.time();
  c.hops = s.maybe(15) && allow.hop;
  c.listens_to_all = s.pick(2) == 1;
  c.cancels = s.one_of({cancel_when::never, cancel_when::never, cancel_when::never,
                        cancel_when::later, cancel_when::later, cancel_when::before_first_step});
  if (!allow.cancel) c.cancels = cancel_when::never;
  c.type = s.one_of({asio::cancellation_type::terminal, asio::cancellation_type::total,
                     asio::cancellation_type::partial});
  c.cancels_after = s.time();
  const bool has_deadline = s.pick(3) == 2;
  const hf::duration deadline = s.time();
  if (has_deadline && allow.deadline) c.deadline = deadline;
  c.idempotent = !s.maybe(20);
  c.cost = s.one_of<std::uint32_t>({1, 1, 0, 5, 500});
  c.weight = s.one_of({1u, 1u, 1u, 0u, 3u, 1000u});
  c.named = s.pick(2) == 1;
  c.key = s.one_of({1u, 1u, 0u, 2u});
  if (!allow.options) {
    c.idempotent = true;
    c.cost = c.weight = c.key = 1;
    c.named = false;
  }
  // The user's to avoid: see docs/threads.md.
  if (c.call.leaves() || c.hops) c.cancels = cancel_when::never;
  // After a reset Asio lets terminal cancellation through alone.
  if (c.call.has(move_kind::reset)) c.type = asio::cancellation_type::terminal;
  if (!c.awaited()) {
    // A chain takes no options, and no caller's coroutine.
    c.hops = false;
    c.deadline = hf::duration::max();
    c.idempotent = true;
    c.cost = c.weight = 1;
    c.named = false;
    c.key = 0;
  }
  return c;
}

place draw_place(source& s, bool real) {
  place p;
  p.context = real ? s.one_of({context_kind::serial, context_kind::threads, context_kind::pool,
                               context_kind::unhinted})
                   : s.one_of({context_kind::serial, context_kind::unhinted});
  p.executor = s.one_of({executor_kind::plain, executor_kind::plain, executor_kind::strand,
                         executor_kind::strand_of_any, executor_kind::tracked,
                         executor_kind::never_inline, executor_kind::continuation,
                         executor_kind::own});
  if (!drawn_classes().executors) p.executor = executor_kind::plain;
  return p;
}

ending draw_ending(source& s) {
  const classes& allow = drawn_classes();
  ending e;
  e.kind = s.one_of({end_kind::completes, end_kind::completes, end_kind::completes,
                     end_kind::completes, end_kind::drops_objects, end_kind::drops_stack,
                     end_kind::destroys});
  e.step = s.pick(2) ? s.pick(12) : s.pick(80);
  if (e.kind == end_kind::destroys && !allow.destroy) e.kind = end_kind::completes;
  if ((e.kind == end_kind::drops_objects || e.kind == end_kind::drops_stack) && !allow.drop) {
    e.kind = end_kind::completes;
  }
  return e;
}

}  // namespace gen
