// SPDX-License-Identifier: BSL-1.0
#include "experiment.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <holdfast/registry.hpp>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/call_series.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <limits>
#include <utility>

#include "registry/option_members.hpp"

namespace lab {

namespace {

namespace asio = boost::asio;
namespace testing = hf::testing;
using namespace std::chrono_literals;

/// Policies that a stack has not are there all the same, with options under which they do nothing:
/// so that every stack is of one type.
hf::service_options completed(hf::service_options o) {
  constexpr unsigned plenty = 1'000'000;
  if (!o.timeout) o.timeout = hf::timeout{.after = 24h};
  if (!o.retry) o.retry = hf::retry{.max_attempts = 1};
  if (!o.bulkhead) o.bulkhead = hf::bulkhead_options{.limit = plenty};
  if (!o.rate_limiter) o.rate_limiter = hf::rate_limiter_options{.permits = 1'000'000'000};
  if (!o.adaptive_limit) {
    o.adaptive_limit = hf::adaptive_limit_options{.algorithm = hf::limit_algorithm::aimd,
                                                  .initial_limit = plenty,
                                                  .min_limit = plenty,
                                                  .max_limit = plenty};
  }
  if (!o.circuit_breaker) o.circuit_breaker.emplace();
  if (!o.throttle) o.throttle = hf::throttle_options{.min_per_second = 1e6};
  if (!o.load_shedder) {
    o.load_shedder = hf::load_shedder_options{.minimum_calls = std::numeric_limits<unsigned>::max()};
  }
  if (!o.chaos) o.chaos.emplace();
  return o;
}

using answer = asio::awaitable<hf::result<testing::reply>>;

/// A pipeline, around what it is given.
using guard = std::function<answer(const testing::service&, hf::call_options)>;

template <class Innermost>
guard stack_upon(const Innermost& innermost, const hf::registry& policies,
                 const std::string& name) {
  return [pipe = innermost.with(policies.breaker(name))
                     .with(policies.throttle(name))
                     .with(policies.adaptive_limit(name))
                     .with(policies.bulkhead(name))
                     .with(policies.limiter(name))
                     .with(policies.shedder(name))
                     .with(policies.retry(name))](const testing::service& service,
                                                  hf::call_options options) {
    return pipe(service, std::move(options));
  };
}

std::function<hf::duration(testing::dice&)> drawn(const service_time& takes) {
  return takes.exponential > 0s ? testing::exponential(takes.exponential)
                                : testing::constantly(takes.constant);
}

testing::service_options simulated(const scenario& s) {
  testing::service_options o{.name = "service",
                             .slots = s.service.slots,
                             .queue = s.service.queue,
                             .order = s.service.order,
                             .work_goes_on = s.service.work_goes_on,
                             .takes = drawn(s.service.takes),
                             .seed = s.seed};
  for (const brown_out& b : s.service.brown_outs) {
    o.brown_outs.push_back({.from = b.from,
                            .until = b.until,
                            .share = b.share,
                            .takes = b.takes,
                            .fails = b.fails ? boost::system::error_code(asio::error::timed_out)
                                             : boost::system::error_code()});
  }
  return o;
}

/// A scenario with its service, its server where it has one, and its clients, in virtual time.
class simulation {
 public:
  simulation(const scenario& s, guard pipe)
      : scenario_(s), pipe_(std::move(pipe)), service_(context_, simulated(s)) {
    if (s.server) open_server(*s.server);
    const auto call = [this] { return server_ ? visit(*asking_) : ask({.deadline = deadline()}); };
    if (s.clients.sessions > 0) {
      testing::start(context_,
                     testing::closed_loop{.sessions = s.clients.sessions,
                                          .think = s.clients.think,
                                          .lasting = s.lasts,
                                          .seed = s.seed},
                     call, calls_);
    } else {
      testing::start(context_,
                     testing::open_loop{
                         .per_second = s.clients.per_second, .lasting = s.lasts, .seed = s.seed},
                     call, calls_);
    }
  }
  simulation(const simulation&) = delete;

  hf::time_point now() const { return time_.now(); }

  /// Plays up to that time, without what happens then.
  void play_until(hf::duration since_start) {
    time_.run_until(origin_ + since_start - hf::duration(1));
  }

  const testing::call_series& calls() const { return calls_; }
  const testing::call_series& other_calls() const { return other_calls_; }
  std::uint64_t attempts() const { return service_.snapshot().arrived; }
  unsigned busy() const { return server_ ? server_->snapshot().busy : 0; }
  std::optional<hf::duration> full_at() const { return full_at_; }

 private:
  void open_server(const lab::server& with) {
    server_.emplace(context_, testing::service_options{.slots = with.workers});
    asking_ = server_->route([this](hf::call_context&) -> asio::awaitable<bool> {
      note_if_full();
      const hf::result<testing::reply> r = co_await ask({});
      co_return r.has_value();
    });
    other_ = server_->route(
        [this, takes = drawn(with.other.takes)](hf::call_context&) -> asio::awaitable<bool> {
          note_if_full();
          co_await hf::sleep_for(takes(chance_));
          co_return true;
        });
    // Another seed than the clients': arrivals of one seed are alike.
    testing::start(context_,
                   testing::open_loop{.per_second = with.other.per_second,
                                      .lasting = scenario_.lasts,
                                      .seed = scenario_.seed + 1},
                   [this] { return visit(*other_); }, other_calls_);
  }

  void note_if_full() {
    if (!full_at_ && busy() == scenario_.server->workers) full_at_ = time_.now() - origin_;
  }

  hf::time_point deadline() const {
    return scenario_.deadline > 0s ? time_.now() + scenario_.deadline : hf::never;
  }
  answer ask(hf::call_options options) const { return pipe_(service_, std::move(options)); }
  answer visit(const testing::service& route) const {
    return door_(route, {.deadline = deadline()});
  }

  const scenario& scenario_;
  const guard pipe_;
  asio::io_context context_{1};  // drops what has not ended
  testing::virtual_time time_{context_, scenario_.seed};
  const hf::time_point origin_ = time_.now();
  const testing::service service_;
  testing::dice chance_{scenario_.seed, 4};  // apart from those of service and clients
  testing::call_series calls_{origin_, 1s};
  testing::call_series other_calls_{origin_, 1s};
  const decltype(hf::pipeline()) door_ = hf::pipeline();
  std::optional<testing::service> server_;
  std::optional<testing::service> asking_;
  std::optional<testing::service> other_;
  std::optional<hf::duration> full_at_;
};

course play(const scenario& s, const guard& pipe, hf::circuit_breaker breaker, bool has_breaker,
            const std::function<void(std::size_t)>& progress) {
  simulation sim(s, pipe);
  if (!has_breaker) breaker.disable(sim.now());
  course c;
  std::uint64_t attempts = 0;
  const auto seconds = static_cast<std::size_t>((s.lasts + 1s - 1ns) / 1s);
  for (std::size_t i = 0; i < seconds; ++i) {
    sim.play_until(std::min<hf::duration>((i + 1) * 1s, s.lasts));
    second now;
    now.attempts = static_cast<double>(sim.attempts() - attempts);
    attempts = sim.attempts();
    if (has_breaker) now.breaker = breaker.state();
    now.busy = sim.busy();
    c.seconds.push_back(now);
    if (progress) progress(i + 1);
  }
  const std::vector<testing::call_summary> spans = sim.calls().spans();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    c.seconds[i].begun = static_cast<double>(spans[i].begun);
    c.seconds[i].ended = static_cast<double>(spans[i].calls);
    c.seconds[i].good = static_cast<double>(spans[i].good);
    c.seconds[i].p50 = spans[i].p50;
    c.seconds[i].p99 = spans[i].p99;
  }
  const std::vector<testing::call_summary> others = sim.other_calls().spans();
  for (std::size_t i = 0; i < others.size(); ++i) {
    c.seconds[i].other_ended = static_cast<double>(others[i].calls);
    c.seconds[i].other_good = static_cast<double>(others[i].good);
  }
  const testing::call_summary all = sim.calls().all();
  c.begun = static_cast<double>(all.begun);
  c.calls = static_cast<double>(all.calls);
  c.good = static_cast<double>(all.good);
  c.p50 = all.p50;
  c.p99 = all.p99;
  c.attempts = static_cast<double>(attempts);
  c.full_at = sim.full_at();
  return c;
}

}  // namespace

hf::service_options with_defaults(hf::service_options own, const hf::service_options& defaults) {
  hf::detail::add_missing(own, defaults);
  return own;
}

course run(const scenario& s, const std::string& name, const hf::service_options& options,
           const std::function<void(std::size_t)>& progress) {
  hf::configuration configuration;
  configuration.services[name] = completed(options);
  if (options.hedge) configuration.services[name].hedge = options.hedge;
  hf::registry policies(configuration);
  if (options.chaos) policies.chaos(name).enable();
  const auto attempt = hf::pipeline().with(policies.chaos(name)).with(policies.timeout(name));
  course c = play(s,
                  options.hedge ? stack_upon(attempt.with(policies.hedge(name)), policies, name)
                                : stack_upon(attempt, policies, name),
                  policies.breaker(name), options.circuit_breaker.has_value(), progress);
  c.pipeline = name;
  return c;
}

}  // namespace lab
