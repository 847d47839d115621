// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <holdfast/detail/runner.hpp>
#include <new>

namespace holdfast::detail {

namespace {

// How long until a chain that may be away is looked at again: longer than any handler holds the
// executor of an operation that has completed.
constexpr duration second_look = std::chrono::milliseconds(2);

}  // namespace

void attempt_context::begin(operation& op, unsigned attempt) {
  operation_ = &op;
  settled_ = unsettled;
  limit = op.limit;
  attempt_ = attempt;
  tags_ = op.tags();
  caller_ = op.caller();
  priority_ = op.priority();
  idempotent_ = op.idempotent();
  if (limit.detach) keep_identity();
}

void attempt_context::keep_identity() {
  if (tags_) tags_ = &kept_tags_.emplace(*tags_);
  if (!caller_ || (caller_->tenant.empty() && caller_->session == 0)) return;
  const std::uint64_t session = caller_->session;
  auto& kept = kept_caller_.emplace(kept_caller{std::string(caller_->tenant), {}});
  kept.options.tenant = kept.tenant;
  kept.options.session = session;
  caller_ = &kept.options;
}

void runner_base::spawn(asio::awaitable<void> chain) {
  // On no executor: nothing of the user's is in it yet.
  close();
  asio::co_spawn(asio::any_io_executor(home_executor(*this)), std::move(chain),
                 asio::bind_cancellation_slot(signal_.slot(), [](const std::exception_ptr&) {}));
  close(false);
  count_own();
}

bool runner_base::move_to(const place& target) {
  if (where().same_as(target)) return true;
  if (parked_ && !only_own_references()) return false;
  home::move_to(target.executor());
  return true;
}

void runner_base::dismiss() noexcept {
  const home_executor alive(*this);
  count_own_no_more();
  close();
  parked_.drop();
}

void runner_base::launch(const deadline_scope& limit, sink_base& sink, resumption& waiter,
                         cancellation_scope* outer) {
  // Without memory a waiter can only be resumed on the stack that ends its attempt. That is safe on a
  // context of one thread, but for an alarm: virtual time rings it outside of the context's `run`.
  if (where().serialised_by() != affinity::context || limit.detach) waiter.reserve();
  limit_ = limit;
  deadline_rung_.store(false, std::memory_order_relaxed);
  leave_at_ = limit.detach ? saturating_add(limit.detach_at, limit.detach->grace) : never;
  sink_ = &sink;
  sink.chain = this;
  waiter_ = std::move(waiter);
  begin_job();
  phase_ = phase::running;
  if (outer) {
    link_.told = 0;
    outer->link(link_, where().serial());
  }
  auto go = [this] {
    launching_ = true;
    parked_.resume();
  };
  const keeper unwinding(*this);  // it may be parked again before `run` returns
  run(go);
}

void runner_base::attempt_started() {
  chain_.told = 0;
  context.scope().link(chain_);
  arm();
}

void runner_base::post_home() {
  struct comes_home {
    explicit comes_home(runner_base& r) noexcept : runner(&r) {}
    comes_home(comes_home&& other) noexcept : runner(std::exchange(other.runner, nullptr)) {}
    ~comes_home() {
      if (runner) runner->parked_.drop();
    }
    void operator()() {
      runner_base& r = *std::exchange(runner, nullptr);
      auto go = [&r] { r.parked_.resume(); };
      r.run(go);
    }
    runner_base* runner;
  };
  if (where().here(false)) {  // its place, but not by way of its executor
    auto go = [this] { parked_.resume(); };
    return run(go);
  }
  resumption way(where().executor(), comes_home(*this));
  way.reserve_at_any_cost();
  way.post();
}

void runner_base::attempt_ended() noexcept {
  deadline_alarm::stop();
  auto& scope = context.scope();
  scope.unlink(chain_);
  if (sink_) {
    sink_->cancelled = scope.reason();
    sink_->chain = nullptr;
  }
  cancellation_scope::unlink(link_, where().serial());
  context.report_cost();
  context.end();
  sink_ = nullptr;
  kept_ = 0;
  look_at_ = never;
  end_left();
}

void runner_base::deliver() {
  if (phase_ == phase::parked) return;  // for the first time
  keep_alive_.reset();
  resumption waiter = std::move(waiter_);
  // Inline only if that does not nest in the waiter's own suspension.
  const bool nested = std::exchange(launching_, false);
  const bool through_executor = where().within_chain();
  phase_ = phase::parked;
  context.scope().release();
  recycle();
  if (!waiter) return;
  if (nested) {
    waiter.post_or_resume();
  } else if (through_executor) {
    waiter.dispatch_or_resume();
  } else {
    waiter.resume();
  }
}

void runner_base::dropped() noexcept {
  deadline_alarm::stop();
  cancellation_scope::unlink(link_, where().serial());
  end_left();
  waiter_.drop();
}

void runner_base::end_left() noexcept {
  if (phase_ != phase::left) return;
  phase_ = phase::running;
  detached_.end();
  where().work_finished();
}

void runner_base::on_outer(scope_listener& link, asio::cancellation_type_t type) {
  auto& self = static_cast<listener&>(link).runner;
  self.context.scope().ring(link.scope->reason(), type);
}

void runner_base::on_told(scope_listener& chain, asio::cancellation_type_t type) {
  auto& self = static_cast<listener&>(chain).runner;
  const auto bits = static_cast<unsigned>(type);
  chain.told &= static_cast<std::uint8_t>(~cancellation_scope::look_bit);
  self.kept_ |= static_cast<std::uint8_t>(bits & ~unsigned{cancellation_scope::look_bit});
  // The caller, whose own filter has let it through, gives the attempt up altogether.
  if (self.kept_ != 0 && self.context.scope().reason() == cancel_reason::caller) {
    self.kept_ = cancellation_scope::all_bits;
  }
  self.look();
}

void runner_base::turn_over() noexcept {
  if (kept_ != 0) [[unlikely]] cancel_if_home();
}

bool runner_base::claim_ring() noexcept {
  auto& scope = context.scope();
  if (armed_for_ >= limit_.at) {
    deadline_rung_.store(true, std::memory_order_relaxed);
    scope.note(cancel_reason::deadline, limit_.emits());
  }
  return scope.begin_look(chain_);
}

void runner_base::ring() noexcept { context.scope().finish_ring(); }

void runner_base::look() {
  cancellation_scope::visit here(context.scope());
  if (kept_ != 0) cancel_if_home();
  if (here.gone()) return;
  leave_if_due();
  arm_again();
}

void runner_base::cancel_if_home() noexcept {
  const auto waits = waits_for();
  if (waits == wait::away) {
    look_at_ = never;
    return;  // kept until a function of the chain has ended at home
  }
  if (waits == wait::perhaps) {
    const time_point now = where().time().precise_now();
    if (look_at_ == never) look_at_ = saturating_add(now, second_look);
    if (look_at_ > now) {
      if (armed_for_ > look_at_) arm_again();
      return;
    }
  }
  look_at_ = never;
  try {
    signal_.emit(cancellation_scope::type_of(std::exchange(kept_, std::uint8_t{0})));
  } catch (...) {
    // No memory to hand the cancellation on. The chain remembers it, and ends with its next wait.
  }
}

void runner_base::leave_if_due() {
  if (phase_ != phase::running || leave_at_ == never ||
      !deadline_rung_.load(std::memory_order_relaxed) ||
      where().time().precise_now() < leave_at_) {
    return;
  }
  leave_at_ = never;
  if (!detached_.begin(*limit_.detach)) return;  // as many as may be are left: it is waited for
  phase_ = phase::left;
  where().work_started();  // as its operation was work of the context
  abandon_sink();
  context.report_cost();
  cancellation_scope::unlink(link_, where().serial());
  sink_->chain = nullptr;
  sink_->cancelled = context.scope().reason();
  sink_ = nullptr;
  std::exchange(waiter_, {}).post_or_resume();
}

void runner_base::arm_again() noexcept {
  try {
    arm();
  } catch (const std::bad_alloc&) {
    // No second look, and no leave: the attempt is waited for.
  }
}

void runner_base::recycle() noexcept { pool_.give_back(*this); }

void runner_base::unused() noexcept { pool_.let_go_of_target(*this); }

sync::atomic<unsigned>& runner_base::pins() noexcept { return pool_.pins(); }

void runner_base::arm() {
  deadline_alarm::stop();
  const bool rung = deadline_rung_.load(std::memory_order_relaxed);
  armed_for_ = std::min({rung ? never : limit_.at, look_at_, rung ? leave_at_ : never});
  if (armed_for_ != never) deadline_alarm::start(armed_for_);
}

}  // namespace holdfast::detail
