// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <fmt/format.h>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/wait_state.hpp>
#include <holdfast/pipeline.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/testing/service.hpp>
#include <holdfast/time/sleep_for.hpp>
#include <optional>
#include <utility>

namespace holdfast::testing {

namespace {

service_options validated(service_options o) {
  detail::option_faults faults;
  faults.between("slots", o.slots, 1, 1'000'000'000);
  faults.between("queue", o.queue, 0, 1'000'000'000);
  for (std::size_t i = 0; i < o.brown_outs.size(); ++i) {
    const brown_out& b = o.brown_outs[i];
    const std::string at = fmt::format("brown_outs[{}].", i);
    faults.between(at + "share", b.share, 0.0, 1.0);
    faults.at_least(at + "from", b.from, duration::zero());
    faults.at_least(at + "until", b.until, b.from);
    faults.at_least(at + "takes", b.takes, duration::zero());
  }
  faults.raise_if_any(o.name.empty() ? "service" : fmt::format("service '{}'", o.name));
  return o;
}

/// A request whose caller may go before it is done.
struct visit {
  detail::wait_state wait;
  std::optional<result<reply>> outcome;
};

}  // namespace

class service::core {
 public:
  core(asio::io_context& context, service_options o)
      : context_(context),
        options_(validated(std::move(o))),
        time_(time_service::of(context)),
        born_(time_.precise_now()),
        dice_(options_.seed, 1),
        slots_({.name = options_.name,
                .limit = options_.slots,
                .queue = options_.queue,
                .order = options_.order}),
        admission_(holdfast::pipeline().with(slots_)) {}

  using shared_work = std::shared_ptr<const work>;

  static asio::awaitable<result<reply>> receive(std::shared_ptr<core> self, shared_work w,
                                                call_context& caller) {
    ++self->arrived_;
    if (!self->options_.work_goes_on) {
      const request r{self, std::move(w), self->now()};
      result<reply> served = co_await self->admission_(r, caller);
      if (caller.cancelled() || caller.remaining() == duration::zero()) ++self->given_up_;
      co_return served;
    }
    const auto v = std::make_shared<visit>();
    auto token = asio::as_tuple(caller.token());  // a storm of exceptions would take its time
    const auto [ec] =
        co_await asio::async_initiate<decltype(token), void(boost::system::error_code)>(
            begin_visit{self, v, std::move(w), caller.priority()}, token);
    if (ec) {
      ++self->given_up_;
      co_return failure(ec);
    }
    co_return std::move(*v->outcome);
  }

  service_snapshot snapshot() const noexcept {
    return {.arrived = arrived_,
            .answered = answered_,
            .failed = failed_,
            .refused = slots_.refused(),
            .given_up = given_up_,
            .busy = slots_.in_use(),
            .waiting = slots_.waiting()};
  }

 private:
  /// One request in its slot.
  struct request {
    std::shared_ptr<core> self;
    shared_work does;
    time_point came;

    asio::awaitable<result<reply>> operator()(call_context& context) const {
      const time_point begun = self->now();
      if (does) {
        ++self->failed_;  // until it has not
        if (!co_await (*does)(context)) co_return failure(asio::error::fault);
        --self->failed_;
        ++self->answered_;
        co_return reply{begun - came, self->now() - begun};
      }
      const brown_out* odd = self->brown_out_of(begun - self->born_);
      const duration takes = odd                     ? odd->takes
                             : self->options_.takes ? self->options_.takes(self->dice_)
                                                    : duration::zero();
      if (takes > duration::zero()) co_await sleep_for(takes, context.token());
      ++(odd && odd->fails ? self->failed_ : self->answered_);
      if (odd && odd->fails) co_return failure(odd->fails);
      co_return reply{begun - came, takes};
    }
  };

  /// Waits for the end of a request that is served whether its caller waits or not.
  struct begin_visit {
    std::shared_ptr<core> self;
    std::shared_ptr<visit> v;
    shared_work does;
    holdfast::priority rank;

    template <class Handler>
    void operator()(Handler handler) const {
      v->wait.prepare(self->time_, asio::get_associated_cancellation_slot(handler));
      const auto executor = asio::get_associated_executor(handler);
      auto done = [v = v, h = std::move(handler)]() mutable {
        std::move(h)(detail::error_of(v->wait.finish()));
      };
      v->wait.start(never, asio::bind_executor(executor, std::move(done)));
      asio::co_spawn(self->context_, serve(self, v, does, rank), asio::detached);
    }
  };

  static asio::awaitable<void> serve(std::shared_ptr<core> self, std::shared_ptr<visit> v,
                                     shared_work does, holdfast::priority rank) {
    v->outcome.emplace(
        co_await self->admission_(request{self, std::move(does), self->now()}, {.priority = rank}));
    detail::resumption caller;
    if (v->wait.grant(caller) && caller) caller.post();
  }

  const brown_out* brown_out_of(duration since_birth) {
    for (const brown_out& b : options_.brown_outs) {
      if (since_birth >= b.from && since_birth < b.until) return dice_.hits(b.share) ? &b : nullptr;
    }
    return nullptr;
  }
  time_point now() const noexcept { return time_.precise_now(); }

  asio::io_context& context_;
  const service_options options_;
  time_service& time_;
  const time_point born_;
  dice dice_;
  bulkhead slots_;
  decltype(holdfast::pipeline().with(std::declval<const bulkhead&>())) admission_;
  std::uint64_t arrived_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t given_up_ = 0;
};

service::service(boost::asio::io_context& context, service_options options)
    : core_(std::make_shared<core>(context, std::move(options))) {}

boost::asio::awaitable<result<reply>> service::operator()(call_context& context) const {
  return core::receive(core_, work_, context);
}

service service::route(work w) const {
  return service(core_, std::make_shared<const work>(std::move(w)));
}

service_snapshot service::snapshot() const noexcept { return core_->snapshot(); }

std::function<duration(dice&)> exponential(duration mean) {
  return [mean](dice& d) { return d.exponential(mean); };
}

std::function<duration(dice&)> constantly(duration d) {
  return [d](dice&) { return d; };
}

}  // namespace holdfast::testing
