// SPDX-License-Identifier: BSL-1.0
#include "scenario.hpp"

#include <holdfast/invalid_options.hpp>
#include <utility>

#include "config/json_reader.hpp"

// The description of each struct, as the configuration's reader wants it.
template <>
struct holdfast::detail::members<lab::service_time> {
  template <class F>
  static void visit(F&& f) {
    f("exponential", &lab::service_time::exponential);
    f("constant", &lab::service_time::constant);
  }
};
template <>
struct holdfast::detail::members<lab::brown_out> {
  template <class F>
  static void visit(F&& f) {
    f("from", &lab::brown_out::from);
    f("until", &lab::brown_out::until);
    f("share", &lab::brown_out::share);
    f("takes", &lab::brown_out::takes);
    f("fails", &lab::brown_out::fails);
  }
};
template <>
struct holdfast::detail::members<lab::upstream> {
  template <class F>
  static void visit(F&& f) {
    f("slots", &lab::upstream::slots);
    f("queue", &lab::upstream::queue);
    f("order", &lab::upstream::order);
    f("work_goes_on", &lab::upstream::work_goes_on);
    f("takes", &lab::upstream::takes);
    f("brown_outs", &lab::upstream::brown_outs);
  }
};
template <>
struct holdfast::detail::members<lab::clients> {
  template <class F>
  static void visit(F&& f) {
    f("sessions", &lab::clients::sessions);
    f("think", &lab::clients::think);
    f("per_second", &lab::clients::per_second);
  }
};
template <>
struct holdfast::detail::members<lab::other_route> {
  template <class F>
  static void visit(F&& f) {
    f("per_second", &lab::other_route::per_second);
    f("takes", &lab::other_route::takes);
  }
};
template <>
struct holdfast::detail::members<lab::server> {
  template <class F>
  static void visit(F&& f) {
    f("workers", &lab::server::workers);
    f("other", &lab::server::other);
  }
};
template <>
struct holdfast::detail::members<lab::scenario> {
  template <class F>
  static void visit(F&& f) {
    f("about", &lab::scenario::about);
    f("lasts", &lab::scenario::lasts);
    f("deadline", &lab::scenario::deadline);
    f("seed", &lab::scenario::seed);
    f("service", &lab::scenario::service);
    f("clients", &lab::scenario::clients);
    f("server", &lab::scenario::server);
  }
};

namespace lab {

namespace {

constexpr hf::duration longest = std::chrono::hours(24);
constexpr unsigned most = 1'000'000'000;

/// What is wrong with the values.
void check(const scenario& s, hf::detail::json_reader& reader) {
  const auto unless = [&reader](bool good, const std::string& path, std::string_view reason) {
    if (!good) reader.fault(path, reason);
  };
  const auto in_time = [&](hf::duration d, const std::string& path) {
    unless(d >= hf::duration::zero() && d <= longest, path, "must be from 0s to 24h");
  };
  unless(s.lasts >= std::chrono::seconds(1) && s.lasts <= longest, "lasts",
         "must be from 1s to 24h");
  in_time(s.deadline, "deadline");
  unless(s.service.slots >= 1 && s.service.slots <= most, "service.slots",
         "must be from 1 to 1000000000");
  unless(s.service.queue <= most, "service.queue", "must be at most 1000000000");
  const auto check_takes = [&](const service_time& takes, const std::string& path) {
    unless((takes.exponential > hf::duration::zero()) != (takes.constant > hf::duration::zero()),
           path, "must say either exponential or constant, more than 0s");
    in_time(takes.exponential, path + ".exponential");
    in_time(takes.constant, path + ".constant");
  };
  check_takes(s.service.takes, "service.takes");
  for (std::size_t i = 0; i < s.service.brown_outs.size(); ++i) {
    const brown_out& b = s.service.brown_outs[i];
    const std::string at = fmt::format("service.brown_outs[{}]", i);
    in_time(b.from, at + ".from");
    in_time(b.until, at + ".until");
    in_time(b.takes, at + ".takes");
    unless(b.until > b.from, at + ".until", "must be later than from");
    unless(b.share >= 0.0 && b.share <= 1.0, at + ".share", "must be from 0 to 1");
  }
  const clients& c = s.clients;
  unless((c.sessions > 0) != (c.per_second > 0.0), "clients",
         "must say either sessions or per_second, more than 0");
  unless(c.sessions <= 1'000'000, "clients.sessions", "must be at most 1000000");
  unless(c.per_second >= 0.0 && c.per_second <= 1e6, "clients.per_second",
         "must be from 0 to 1000000");
  in_time(c.think, "clients.think");
  // Calls may be refused at once: sessions that ask again at once would stop time.
  unless(c.sessions == 0 || c.think >= std::chrono::milliseconds(1), "clients.think",
         "must be at least 1ms");
  if (!s.server) return;
  unless(s.server->workers >= 1 && s.server->workers <= most, "server.workers",
         "must be from 1 to 1000000000");
  const other_route& other = s.server->other;
  unless(other.per_second >= 1e-6 && other.per_second <= 1e6, "server.other.per_second",
         "must be from 0.000001 to 1000000");
  check_takes(other.takes, "server.other.takes");
}

}  // namespace

scenario read_scenario(std::string_view json) {
  scenario s;
  hf::detail::json_reader reader;
  reader.read("", hf::detail::parse_json("scenario", json), s);
  check(s, reader);
  if (!reader.faults.empty()) throw hf::invalid_options("scenario", std::move(reader.faults));
  return s;
}

}  // namespace lab
