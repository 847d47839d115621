// SPDX-License-Identifier: BSL-1.0
#include "experiment.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <holdfast/registry.hpp>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>
#include <holdfast/testing/virtual_time.hpp>

#include "registry/option_members.hpp"

namespace lab {

namespace {

namespace asio = boost::asio;
namespace testing = hf::testing;
using namespace std::chrono_literals;

testing::service_options simulated(const scenario& s) {
  testing::service_options o{.name = "service",
                             .slots = s.service.slots,
                             .queue = s.service.queue,
                             .order = s.service.order,
                             .work_goes_on = s.service.work_goes_on,
                             .takes = s.service.takes.exponential > 0s
                                          ? testing::exponential(s.service.takes.exponential)
                                          : testing::constantly(s.service.takes.constant),
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
  if (!o.load_shedder) o.load_shedder = hf::load_shedder_options{.threshold = 60s};
  if (!o.chaos) o.chaos.emplace();
  return o;
}

/// Runs it through a pipeline that is stacked upon `innermost`.
template <class Innermost>
course play(const scenario& s, const std::string& name, const hf::service_options& given,
            hf::registry& policies, const Innermost& innermost,
            const std::function<void(std::size_t)>& progress) {
  const auto pipe = innermost.with(policies.breaker(name))
                        .with(policies.throttle(name))
                        .with(policies.adaptive_limit(name))
                        .with(policies.bulkhead(name))
                        .with(policies.limiter(name))
                        .with(policies.shedder(name))
                        .with(policies.retry(name));

  asio::io_context context{1};
  testing::virtual_time time{context, s.seed};
  hf::circuit_breaker breaker = policies.breaker(name);
  if (!given.circuit_breaker) breaker.disable(time.now());
  const testing::service service(context, simulated(s));
  testing::call_log log(time.now());
  const hf::time_point origin = time.now();
  const auto operation = [&] {
    return pipe(service, hf::call_options{.deadline = s.deadline > 0s ? time.now() + s.deadline
                                                                      : hf::never});
  };
  if (s.clients.sessions > 0) {
    testing::start(context,
                   testing::closed_loop{.sessions = s.clients.sessions,
                                        .think = s.clients.think,
                                        .lasting = s.lasts,
                                        .seed = s.seed},
                   operation, log);
  } else {
    testing::start(context,
                   testing::open_loop{
                       .per_second = s.clients.per_second, .lasting = s.lasts, .seed = s.seed},
                   operation, log);
  }

  course c;
  c.pipeline = name;
  std::uint64_t arrived = 0;
  const auto seconds = static_cast<std::size_t>((s.lasts + 1s - 1ns) / 1s);
  for (std::size_t i = 0; i < seconds; ++i) {
    time.run_until(origin + std::min<hf::duration>((i + 1) * 1s, s.lasts));
    second now;
    now.attempts = static_cast<double>(service.snapshot().arrived - arrived);
    arrived = service.snapshot().arrived;
    if (given.circuit_breaker) now.breaker = breaker.state();
    c.seconds.push_back(now);
    if (progress) progress(i + 1);
  }
  const std::vector<testing::call_summary> spans = log.series(1s, s.lasts);
  for (std::size_t i = 0; i < seconds; ++i) {
    c.seconds[i].begun = static_cast<double>(spans[i].begun);
    c.seconds[i].ended = static_cast<double>(spans[i].calls);
    c.seconds[i].good = static_cast<double>(spans[i].good);
    c.seconds[i].p50 = spans[i].p50;
    c.seconds[i].p99 = spans[i].p99;
  }
  const testing::call_summary all = log.between(0s, s.lasts);
  c.begun = static_cast<double>(all.begun);
  c.calls = static_cast<double>(all.calls);
  c.good = static_cast<double>(all.good);
  c.p50 = all.p50;
  c.p99 = all.p99;
  c.attempts = static_cast<double>(arrived);
  time.run();  // to the end: the operations refer to what is here
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
  return options.hedge
             ? play(s, name, options, policies, attempt.with(policies.hedge(name)), progress)
             : play(s, name, options, policies, attempt, progress);
}

}  // namespace lab
