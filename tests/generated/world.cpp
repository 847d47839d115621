// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <fmt/format.h>

namespace gen {

attempt_record& world::begin_attempt(int op, bool link) {
  const std::lock_guard lock(mutex_);
  attempt_record& a = attempts.emplace_back();
  a.op = op;
  a.link = link;
  a.began_seq = next();
  a.began = now();
  if (op >= 0 && !link) a.serial = ++operations[static_cast<std::size_t>(op)].made;
  ++running;
  return a;
}

void world::complain(std::string kind, std::string what) {
  const std::lock_guard lock(mutex_);
  if (failed_) return;
  kind_ = std::move(kind);
  what_ = std::move(what);
  failed_ = true;
}

void world::begin(int op) {
  operation_record& o = operations[static_cast<std::size_t>(op)];
  const client& c = clients[static_cast<std::size_t>(op)];
  o.began = now();
  if (c.deadline != hf::duration::max()) o.deadline = hf::saturating_add(o.began, c.deadline);
  o.begun = true;
}

void world::end(int op, std::optional<hf::result<value>> r, std::exception_ptr e) {
  operation_record& o = operations[static_cast<std::size_t>(op)];
  o.ended_at = now();
  o.ended_seq = next();
  o.ended_away = !at_home();
  o.result = std::move(r);
  o.exception = std::move(e);
  if (o.ended.exchange(true)) complain("ended-twice", fmt::format("operation {}", op));
}

void world::cancel(int op, asio::cancellation_type type) {
  operation_record& o = operations[static_cast<std::size_t>(op)];
  const client& c = clients[static_cast<std::size_t>(op)];
  if (o.ended || gone) return;
  o.emitted = true;
  // A coroutine hears terminal cancellation, and other types where it says so. A chain hears all.
  const bool hears = !c.awaited() || type == asio::cancellation_type::terminal || c.listens_to_all;
  if (o.begun && hears && o.cancelled_at.load() == hf::never) {
    o.cancelled_at = now();
    o.cancelled_seq = next();
  }
  o.signal.emit(type);
}

std::string text(hf::duration d) {
  if (d == hf::duration::max()) return "hf::duration::max()";
  if (d == hf::duration::zero()) return "0ms";
  if (d % 1h == hf::duration::zero()) return fmt::format("{}h", d / 1h);
  if (d % 1s == hf::duration::zero()) return fmt::format("{}s", d / 1s);
  if (d % 1ms == hf::duration::zero()) return fmt::format("{}ms", d / 1ms);
  return fmt::format("{}ns", d.count());
}

std::string text_of(const std::optional<hf::result<value>>& r, const std::exception_ptr& e) {
  if (e) return "exception '" + hf::failure(e).message() + "'";
  if (!r) return "nothing";
  if (r->has_value()) return fmt::format("answer {}", r->assume_value().id());
  return fmt::format("failure '{}'", r->assume_error().message());
}

}  // namespace gen
