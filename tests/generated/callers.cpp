// SPDX-License-Identifier: BSL-1.0
#include "callers.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

namespace gen {

namespace {

/// The end of a client: called once, or dropped once with its context.
class last_word {
 public:
  last_word(world& w, int op) : world_(&w), op_(op) { ++w.unfinished; }
  last_word(last_word&& o) noexcept : world_(std::exchange(o.world_, nullptr)), op_(o.op_) {}
  ~last_word() {
    if (!world_) return;
    ++record().drops;
    --world_->unfinished;
  }
  operation_record& record() const { return world_->operations[static_cast<std::size_t>(op_)]; }
  world& in() const { return *world_; }
  int op() const { return op_; }
  void spoken() {
    ++record().completions;
    --std::exchange(world_, nullptr)->unfinished;
  }

 private:
  world* world_;
  int op_;
};

template <class Call>
Call call_of(world& w, int op) {
  const script& plays = w.clients[static_cast<std::size_t>(op)].call;
  return Call{
      captured(w, {std::shared_ptr<void>(), &plays}, op, false)};  // the world's, as it stays
}

const hf::tag_set& tags_of_clients() {
  static const hf::tag_set tags{{"tag", "tag"}};
  return tags;
}

hf::call_options options_of(const world& w, int op) {
  static constexpr std::string_view keys[] = {"", "one", "two"};
  const client& c = w.clients[static_cast<std::size_t>(op)];
  hf::call_options o;
  o.deadline = w.operations[static_cast<std::size_t>(op)].deadline;
  o.idempotent = c.idempotent;
  o.cost = c.cost;
  o.weight = c.weight;
  o.cache_key = keys[c.key];
  o.session = static_cast<std::uint64_t>(op) + 1;
  if (c.named) {
    o.tags = &tags_of_clients();
    o.tenant = "tenant";
    o.priority = hf::priority::low;
  }
  return o;
}

any_stack::awaitable run(world& w, const any_stack& stack, int op) {
  const hf::call_options o = options_of(w, op);
  switch (w.clients[static_cast<std::size_t>(op)].call.kind) {
    case call_kind::context: return stack.run(call_of<context_call>(w, op), o);
    case call_kind::reader: return stack.run(call_of<reader_call>(w, op), o);
    case call_kind::token: return stack.run(call_of<token_call>(w, op), o);
    case call_kind::opaque: break;
  }
  return stack.run(call_of<opaque_call>(w, op), o);
}

asio::awaitable<void> await_pipeline(world& w, const any_stack& stack, int op) {
  const client& c = w.clients[static_cast<std::size_t>(op)];
  if (c.listens_to_all) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  }
  if (c.start > 0ms) co_await hf::sleep_for(c.start);
  if (c.hops) co_await asio::post(asio::bind_executor(w.elsewhere, asio::deferred));
  // Cancelled before it began.
  if (!!(co_await asio::this_coro::cancellation_state).cancelled()) co_return;
  w.begin(op);
  std::optional<hf::result<value>> r;
  std::exception_ptr e;
  try {
    r.emplace(co_await run(w, stack, op));
  } catch (...) {
    e = std::current_exception();
  }
  w.end(op, std::move(r), e);
}

/// Takes the result of a chain.
struct chain_end {
  last_word word;
  void operator()(hf::result<value> r) {
    word.in().end(word.op(), std::move(r), nullptr);
    word.spoken();
  }
};

void start_chain(world& w, const any_stack& stack, int op, chain_handler h) {
  if (w.clients[static_cast<std::size_t>(op)].call.kind == call_kind::context) {
    stack.start(call_of<context_call>(w, op), w.home, std::move(h));
  } else {
    stack.start(call_of<opaque_call>(w, op), w.home, std::move(h));
  }
}

struct initiate_chain {
  world* w;
  const any_stack* stack;
  int op;
  template <class Handler>
  void operator()(Handler&& h) const {
    start_chain(*w, *stack, op, chain_handler(std::forward<Handler>(h)));
  }
};
auto chain_operation(world& w, const any_stack& stack, int op) {
  return asio::async_initiate<const asio::deferred_t, void(hf::result<value>)>(
      initiate_chain{&w, &stack, op}, asio::deferred);
}

/// From a callback: the chain begins where it is called, and hears the operation's signal.
void start_callback(world& w, const any_stack& stack, int op, last_word word) {
  w.begin(op);
  auto& signal = w.operations[static_cast<std::size_t>(op)].signal;
  start_chain(w, stack, op,
              chain_handler(asio::bind_cancellation_slot(
                  signal.slot(), asio::bind_executor(w.home, chain_end{std::move(word)}))));
}

asio::awaitable<void> await_chain(world& w, const any_stack& stack, int op) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  if (const auto d = w.clients[static_cast<std::size_t>(op)].start; d > 0ms) {
    co_await hf::sleep_for(d);
  }
  if (!!(co_await asio::this_coro::cancellation_state).cancelled()) co_return;
  w.begin(op);
  const auto& c = w.clients[static_cast<std::size_t>(op)];
  std::optional<hf::result<value>> r;
  if (c.caller == caller_kind::group) {
    auto nothing = asio::post(asio::bind_executor(w.home, asio::deferred));
    auto ended = co_await asio::experimental::make_parallel_group(chain_operation(w, stack, op),
                                                                  std::move(nothing))
                     .async_wait(asio::experimental::wait_for_all(), asio::deferred);
    r.emplace(std::move(std::get<1>(ended)));
  } else {
    r.emplace(co_await chain_operation(w, stack, op));
  }
  w.end(op, std::move(r), nullptr);
}

}  // namespace

void start_client(world& w, const any_stack& stack, int op) {
  const client& c = w.clients[static_cast<std::size_t>(op)];
  operation_record& o = w.operations[static_cast<std::size_t>(op)];
  last_word word(w, op);
  switch (c.caller) {
    case caller_kind::callback: start_callback(w, stack, op, std::move(word)); break;
    case caller_kind::inside:
      asio::post(w.home, [&w, &stack, op, word = std::move(word)]() mutable {
        start_callback(w, stack, op, std::move(word));
      });
      break;
    case caller_kind::deferred:
    case caller_kind::group:
    case caller_kind::awaits: {
      auto end = [word = std::move(word)](const std::exception_ptr& e) mutable {
        if (e && !word.record().emitted) {
          word.in().complain("thrown", "a caller's coroutine ended with an exception: " +
                                           hf::failure(e).message());
        }
        word.spoken();
      };
      if (c.awaited()) {
        asio::co_spawn(w.home, await_pipeline(w, stack, op),
                       asio::bind_cancellation_slot(o.signal.slot(), std::move(end)));
      } else {
        asio::co_spawn(w.home, await_chain(w, stack, op),
                       asio::bind_cancellation_slot(o.signal.slot(), std::move(end)));
      }
      break;
    }
  }
}

}  // namespace gen
