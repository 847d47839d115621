// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/compose.hpp>
#include <holdfast/call_context.hpp>
#include <holdfast/result.hpp>
#include <holdfast/time/sleep_for.hpp>
#include <memory>
#include <utility>

#include "world.hpp"

/// \file
/// The calls: one script, played by each kind of callable that the library takes.

namespace gen {

/// What a callable carries: whose it is, and what it does. Copies are counted.
class captured {
 public:
  /// `s` belongs to the callable: a timeout may leave a call running that outlives its pipeline.
  captured(world& w, std::shared_ptr<const script> s, int op, bool link)
      : world_(&w), script_(std::move(s)), op_(op), link_(link), own_(std::make_shared<int>(0)) {
    ++world_->callables;
  }
  captured(const captured& o)
      : world_(o.world_),
        script_(o.script_),
        op_(o.op_),
        link_(o.link_),
        own_(std::make_shared<int>(0)) {
    ++world_->callables;
  }
  captured(captured&& o) noexcept
      : world_(o.world_),
        script_(std::move(o.script_)),
        op_(o.op_),
        link_(o.link_),
        own_(std::move(o.own_)) {
    ++world_->callables;
  }
  captured& operator=(const captured&) = delete;
  ~captured() { --world_->callables; }

  world& in() const { return *world_; }
  const script& plays() const { return *script_; }
  int op() const { return op_; }
  bool link() const { return link_; }
  std::weak_ptr<int> watch() const { return own_; }

 private:
  world* world_;
  std::shared_ptr<const script> script_;
  int op_;
  bool link_;
  std::shared_ptr<int> own_;
};

/// How an attempt's script ends: with an answer, or thrown or returned.
struct conclusion {
  value answer;
  std::optional<hf::failure> failure;  ///< Returned.
};

/// Begins an attempt: counted here, before its coroutine runs.
attempt_record& open_attempt(const captured& c, const hf::call_context* context);

/// Plays the script. `listening` is null for a call that cannot bind its context's token.
asio::awaitable<conclusion> play(const captured& c, attempt_record& a, hf::call_context* listening,
                                 const hf::call_context* context);

/// Takes no context: an opaque awaitable.
struct opaque_call {
  captured c;
  asio::awaitable<value> operator()() const { return run(open_attempt(c, nullptr)); }
  asio::awaitable<value> run(attempt_record& a) const {
    conclusion end = co_await play(c, a, nullptr, nullptr);
    co_return std::move(end.answer);
  }
};

struct context_call {
  captured c;
  asio::awaitable<hf::result<value>> operator()(hf::call_context& context) const {
    return run(open_attempt(c, &context), context);
  }
  asio::awaitable<hf::result<value>> run(attempt_record& a, hf::call_context& context) const {
    conclusion end = co_await play(c, a, &context, &context);
    if (end.failure) co_return hf::result<value>(std::move(*end.failure));
    co_return hf::result<value>(std::move(end.answer));
  }
};

/// Only reads its context.
struct reader_call {
  captured c;
  asio::awaitable<value> operator()(const hf::call_context& context) const {
    return run(open_attempt(c, &context), context);
  }
  asio::awaitable<value> run(attempt_record& a, const hf::call_context& context) const {
    conclusion end = co_await play(c, a, nullptr, &context);
    co_return std::move(end.answer);
  }
};

/// How a token call's only wait goes, and what it completes with.
struct token_attempt {
  token_attempt(const captured& c, attempt_record& a);
  ~token_attempt();
  token_attempt(const token_attempt&) = delete;
  /// The end of the wait: leaves the attempt.
  error_code conclude(error_code ec, value& answer);

  hf::duration lasts{0};

 private:
  struct guard;
  const act* act_;
  attempt_record* attempt_;
  int answer_;
  std::unique_ptr<guard> guard_;
};

/// An Asio operation: waits as the last wait of its script says.
struct token_call {
  captured c;

  struct operation {
    std::unique_ptr<token_attempt> attempt;
    bool started = false;
    template <class Self>
    void operator()(Self& self, error_code ec = {}) {
      if (!std::exchange(started, true)) {
        self.reset_cancellation_state(asio::enable_total_cancellation());
        const hf::duration lasts = attempt->lasts;
        hf::sleep_for(lasts, std::move(self));
        return;
      }
      value answer;
      ec = attempt->conclude(ec, answer);
      attempt.reset();
      self.complete(ec, std::move(answer));
    }
  };

  template <class Token>
  auto operator()(Token&& token) const {
    return asio::async_compose<Token, void(error_code, value)>(
        operation{std::make_unique<token_attempt>(c, open_attempt(c, nullptr))}, token);
  }
};

}  // namespace gen
