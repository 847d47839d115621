// SPDX-License-Identifier: BSL-1.0
#include "trial.hpp"

#include <holdfast/invalid_options.hpp>

namespace gen {

namespace {

constexpr std::size_t first_stacks = 20;  // of the catalogue: those that are not pairs

/// What Asio leaves to the user, if threads may run two handlers of an executor concurrently.
void keep_off_threads(client& c) {
  c.cancels = cancel_when::never;
  for (act& a : c.call.acts) {
    for (move& m : a.moves) {
      if (m.kind == move_kind::either || m.kind == move_kind::both) m.kind = move_kind::wait;
    }
  }
}

}  // namespace

std::string& policies_left_out() {
  static std::string letters;
  return letters;
}

draw fresh_draw(std::uint64_t seed, bool real) {
  chance more(seed);
  draw d;
  d.seed = seed;
  const auto& stacks = catalogue::all();
  do {
    // Half of the draws go to those that are run in every way, and to the deep ones.
    std::size_t at = static_cast<std::size_t>(more() % (2 * stacks.size()));
    if (at >= stacks.size()) at %= first_stacks;
    d.stack = stacks[at].letters;
  } while (d.stack.find_first_of(policies_left_out()) != std::string::npos);
  d.layers.resize(d.stack.size() + 1);
  d.clients.resize(real ? 8 + more() % 24 : 1 + more() % 4);
  read(d, real, &more);
  return d;
}

trial read(draw& d, bool real, chance* more) {
  trial t;
  source place(d.place, more);
  t.place = draw_place(place, real);
  for (tape& c : d.clients) {
    source s(c, more);
    t.clients.push_back(draw_client(s));
  }
  source end(d.end, more);
  t.end = draw_ending(end);

  const catalogue::entry* stack = catalogue::find(d.stack);
  const bool serial = t.place.executor == executor_kind::strand ||
                      t.place.executor == executor_kind::strand_of_any ||
                      t.place.context == context_kind::serial ||
                      t.place.context == context_kind::unhinted;
  for (client& c : t.clients) {
    if (!serial) keep_off_threads(c);
    if (t.place.context == context_kind::pool && c.cancels == cancel_when::before_first_step) {
      c.cancels = cancel_when::later;  // it has threads already
    }
    if (!stack->wide && !c.awaited()) c.caller = caller_kind::awaits;
    if (!c.awaited() && c.call.kind != call_kind::context) c.call.kind = call_kind::opaque;
    if (!stack->wide && c.call.kind == call_kind::reader) c.call.kind = call_kind::opaque;
    if (!stack->wide && c.call.kind == call_kind::token) c.call.kind = call_kind::context;
    // An executor of an unknown type cannot be gone back to.
    if (t.place.executor == executor_kind::own && (c.hops || c.call.leaves())) {
      c.hops = false;
      for (act& a : c.call.acts) {
        for (move& m : a.moves) {
          if (m.kind == move_kind::hop || m.kind == move_kind::foreign) m.kind = move_kind::yield;
        }
      }
    }
  }
  return t;
}

std::unique_ptr<any_stack> make_stack(draw& d, materials& m) {
  chance more(d.seed ^ 0x5eed);
  return catalogue::find(d.stack)->make(d.layers, d.complete ? nullptr : &more, m);
}

bool complete(draw& d) {
  struct nowhere final : world {
    hf::time_point now() const override { return {}; }
    void later(hf::duration, asio::any_io_executor,
               asio::any_completion_handler<void()>) override {}
  } w;
  materials m(w);
  try {
    make_stack(d, m);
  } catch (const hf::invalid_options&) {
    return false;
  }
  d.complete = true;
  return true;
}

}  // namespace gen
