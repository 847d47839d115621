// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/cancellation_type.hpp>
#include <cstdint>
#include <holdfast/call_options.hpp>
#include <holdfast/failure.hpp>
#include <string>
#include <vector>

#include "source.hpp"

/// \file
/// What a trial does, as plain data: the meaning of the tapes.

namespace gen {

namespace asio = boost::asio;

/// The classes of what is drawn. Each can be left out, so that one known failure does not hide the
/// others.
struct classes {
  bool hop = true;        ///< Calls and callers that leave their executor.
  bool foreign = true;    ///< Calls that a callback resumes elsewhere.
  bool deaf = true;       ///< Calls that do not listen for a time.
  bool reset = true;      ///< Calls that reset or ignore their cancellation state.
  bool both = true;       ///< Two operations run concurrently in a call.
  bool nested = true;     ///< Nested pipelines.
  bool settle = true;     ///< Calls that say what they cost.
  bool throws = true;     ///< Functions of the user's that throw.
  bool moves = true;      ///< Values whose move throws.
  bool cancel = true;     ///< Callers that cancel.
  bool deadline = true;   ///< Callers with a deadline.
  bool chain = true;      ///< Chains started with a completion token.
  bool orphan = true;     ///< Timeouts that leave calls behind.
  bool destroy = true;    ///< Contexts that go meanwhile.
  bool drop = true;       ///< Pipelines and shared objects that go meanwhile.
  bool executors = true;  ///< Executors other than those of a context.
  bool options = true;    ///< Tenants, priorities, costs, weights, keys.

  /// Leaves out the classes named in a list such as `hop,foreign`. False: no such class.
  bool leave_out(std::string_view list);
  static std::string names();
};
classes& drawn_classes();

// What a call does, step by step.

enum class move_kind : std::uint8_t {
  wait,     ///< Listens while it waits.
  yield,    ///< Posts to its executor.
  deaf,     ///< Waits, and does not listen.
  hop,      ///< Goes on elsewhere.
  home,     ///< Comes back.
  foreign,  ///< A callback resumes it elsewhere, after a time.
  either,   ///< Two waits, the first of which ends both.
  both,     ///< Two waits, both to their ends.
  reset,    ///< Resets its cancellation state.
  ignore,   ///< Does not throw when cancelled.
  settle,   ///< Says what it cost.
  nested,   ///< A pipeline of its own, with its context as the parent.
};

struct move {
  move_kind kind = move_kind::wait;
  hf::duration time{0};
  hf::duration other{0};
  std::uint32_t units = 0;
};

enum class finish : std::uint8_t {
  answer,
  fails,      ///< `connection_reset`: it may have reached the service.
  refused,    ///< `connection_refused`: it has not.
  exception,  ///< One that carries no code.
  bad_input,  ///< `invalid_argument`.
  aborted,    ///< `operation_aborted`, without a request.
  throttled,  ///< A failure with a hint.
};

/// One attempt of a call.
struct act {
  std::vector<move> moves;
  finish end = finish::answer;
  bool thrown = true;  ///< Or returned, by calls that return a result.
  int breaks_move = 0;
};

enum class call_kind : std::uint8_t { opaque, context, reader, token };

struct script {
  call_kind kind = call_kind::opaque;
  std::vector<act> acts;  ///< One for each attempt; the last one repeats.

  bool has(move_kind k) const;
  bool leaves() const { return has(move_kind::hop) || has(move_kind::foreign); }
};

// What a caller does.

enum class caller_kind : std::uint8_t {
  awaits,    ///< `co_await pipeline(call, options)`
  callback,  ///< A chain with a callback, from outside of the context.
  inside,    ///< The same, from within it.
  deferred,  ///< `co_await chain(token)` on a chain of its own.
  group,     ///< A chain in a `parallel_group`, beside a wait.
};

enum class cancel_when : std::uint8_t { never, before_first_step, later };

struct client {
  script call;
  caller_kind caller = caller_kind::awaits;
  hf::duration start{0};
  bool hops = false;
  bool listens_to_all = false;
  cancel_when cancels = cancel_when::never;
  asio::cancellation_type type = asio::cancellation_type::terminal;
  hf::duration cancels_after{0};
  hf::duration deadline = hf::duration::max();  ///< From its start.
  bool idempotent = true;
  std::uint32_t cost = 1;
  unsigned weight = 1;
  bool named = false;  ///< Has tenant, tags and priority.
  unsigned key = 0;    ///< Of a cache; 0: none.

  bool awaited() const { return caller == caller_kind::awaits; }
};

// Where it runs, and how it ends.

enum class context_kind : std::uint8_t { serial, unhinted, threads, pool };
enum class executor_kind : std::uint8_t {
  plain,
  strand,
  strand_of_any,
  tracked,        ///< `prefer(outstanding_work.tracked)`
  never_inline,   ///< `require(blocking.never)`
  continuation,   ///< `prefer(relationship.continuation)`
  own,            ///< A type of the user's that wraps one.
};

struct place {
  context_kind context = context_kind::serial;
  executor_kind executor = executor_kind::plain;
};

enum class end_kind : std::uint8_t {
  completes,
  drops_objects,  ///< The program lets go of the shared objects; the pipeline keeps them.
  drops_stack,    ///< The pipeline goes as soon as all operations have ended.
  destroys,       ///< The context goes.
};

struct ending {
  end_kind kind = end_kind::completes;
  unsigned step = 0;
};

script draw_script(source& s, bool is_link);
client draw_client(source& s);
place draw_place(source& s, bool real);
ending draw_ending(source& s);

}  // namespace gen
