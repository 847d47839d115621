// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include "supervise.hpp"

namespace gen {

std::string describe(draw d, bool real) {
  const trial t = read(d, real);
  std::string s = fmt::format("  stack '{}', context {}, executor {}, end {} at step {}\n", d.stack,
                              static_cast<int>(t.place.context),
                              static_cast<int>(t.place.executor), static_cast<int>(t.end.kind),
                              t.end.step);
  for (const client& c : t.clients) {
    s += fmt::format("  client kind {} caller {} start {} hops {} all {} cancels {} type {} after {} "
                     "deadline {} idem {} cost {} weight {} named {} key {}\n",
                     static_cast<int>(c.call.kind), static_cast<int>(c.caller), text(c.start),
                     c.hops, c.listens_to_all, static_cast<int>(c.cancels),
                     static_cast<int>(c.type), text(c.cancels_after), text(c.deadline),
                     c.idempotent, c.cost, c.weight, c.named, c.key);
    for (const act& a : c.call.acts) {
      s += "    act:";
      for (const move& m : a.moves) {
        s += fmt::format(" {}({},{},{})", static_cast<int>(m.kind), text(m.time), text(m.other),
                         m.units);
      }
      s += fmt::format(" end {} thrown {} breaks {}\n", static_cast<int>(a.end), a.thrown,
                       a.breaks_move);
    }
  }
  return s;
}

std::string program_text(const draw& d, bool real, const verdict_of&) {
  (void)real;
  std::string s;
  struct nowhere final : world {
    hf::time_point now() const override { return {}; }
    void later(hf::duration, asio::any_io_executor,
               asio::any_completion_handler<void()>) override {}
  } w;
  materials m(w);
  draw copy = d;
  const auto stack = make_stack(copy, m);
  if (!m.budget_text.empty()) s += m.budget_text + "\n";
  stack->each_part([&](part& p) {
    if (!p.declared.empty()) s += p.declared + "\n";
  });
  s += "const auto guard = hf::pipeline()";
  stack->each_part([&](part& p) { s += "\n    " + p.added; });
  return s + ";\n";
}

}  // namespace gen
