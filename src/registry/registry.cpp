// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/invalid_options.hpp>
#include <holdfast/registry.hpp>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <tuple>

#include "nearest.hpp"
#include "option_members.hpp"
#include "option_text.hpp"
#include "policy_objects.hpp"

namespace holdfast {

namespace detail {

namespace {

/// One service: the options in force, and what was made from them.
struct service {
  service_options options;
  std::tuple<std::optional<circuit_breaker>, std::optional<bulkhead>, std::optional<rate_limiter>,
             std::optional<retry_budget>, std::optional<throttle>, std::optional<adaptive_limit>,
             std::optional<hedge>, std::optional<load_shedder>, std::optional<chaos>>
      objects;

  template <class Object>
  std::optional<Object>& object() {
    return std::get<std::optional<Object>>(objects);
  }
  template <class Object>
  const std::optional<Object>& object() const {
    return std::get<std::optional<Object>>(objects);
  }
};

using service_map = std::map<std::string, service, std::less<>>;

/// A service's options with the defaults, every policy by the service's name.
service_options effective(const std::string& name, service_options o,
                          const service_options& defaults) {
  add_missing(o, defaults);
  members<service_options>::visit([&](std::string_view, auto member) {
    if (o.*member) set_name(*(o.*member), name);
  });
  return o;
}

/// What is valid by itself, but not in place of what there is.
void check_change(const std::string& name, const service_options& from, const service_options& to,
                  std::vector<std::string>& faults) {
  if (from.rate_limiter && to.rate_limiter &&
      from.rate_limiter->algorithm != to.rate_limiter->algorithm) {
    faults.push_back(
        fmt::format("services.{}.rate_limiter.algorithm = {}: cannot be changed by a "
                    "reconfiguration, it is {}",
                    name, to_string(to.rate_limiter->algorithm),
                    to_string(from.rate_limiter->algorithm)));
  }
}

/// Functions cannot be compared: they are taken over always.
template <class Options>
bool has_function(const Options& o) {
  bool found = false;
  members<Options>::visit([&](std::string_view, auto member) {
    if constexpr (is_function<std::decay_t<decltype(o.*member)>>) {
      found = found || static_cast<bool>(o.*member);
    }
  });
  return found;
}

template <class Object, class Options>
void reconfigure(Object& object, const Options& o, time_point now) {
  if constexpr (requires { object.reconfigure(o, now); }) {
    object.reconfigure(o, now);
  } else {
    object.reconfigure(o);
  }
}

template <class Object>
auto snapshot_at(const Object& object, time_point now) {
  if constexpr (requires { object.snapshot(now); }) {
    return object.snapshot(now);
  } else {
    return object.snapshot();
  }
}

service_snapshot snapshot_of(const std::string& name, const service& s, time_point now) {
  service_snapshot out{};
  out.name = name;
  const auto take = [now](auto& into, const auto& object) {
    if (object) into = snapshot_at(*object, now);
  };
  take(out.circuit_breaker, s.object<circuit_breaker>());
  take(out.bulkhead, s.object<bulkhead>());
  take(out.rate_limiter, s.object<rate_limiter>());
  take(out.retry_budget, s.object<retry_budget>());
  take(out.throttle, s.object<throttle>());
  take(out.adaptive_limit, s.object<adaptive_limit>());
  take(out.hedge, s.object<hedge>());
  take(out.load_shedder, s.object<load_shedder>());
  take(out.chaos, s.object<chaos>());
  return out;
}

}  // namespace

struct registry_state {
  service_map services;
  mutable std::shared_mutex mutex;  // guards the services; written only by who holds the other, too
  std::mutex applying;

  /// Under the lock.
  const service_map::value_type& find(std::string_view name) const {
    const auto it = services.find(name);
    if (it != services.end()) return *it;
    std::vector<std::string_view> names;
    for (const auto& s : services) names.emplace_back(s.first);
    const std::string_view near = nearest(name, names);
    throw std::out_of_range(
        near.empty() ? fmt::format("registry: there is no service '{}'", name)
                     : fmt::format("registry: there is no service '{}'; did you mean '{}'?", name,
                                   near));
  }

  [[noreturn]] static void miss(std::string_view name, std::string_view policy) {
    throw std::out_of_range(fmt::format(
        "registry: the service '{}' has no {}, and the defaults have none", name, policy));
  }

  template <class Object>
  Object get(std::string_view name, std::string_view policy) const {
    const std::shared_lock lock(mutex);
    const auto& found = find(name).second.object<Object>();
    if (!found) miss(name, policy);
    return *found;
  }

  template <class Value>
  Value value(std::string_view name, std::string_view policy,
              std::optional<Value> service_options::* member) const {
    const std::shared_lock lock(mutex);
    const auto& found = find(name).second.options.*member;
    if (!found) miss(name, policy);
    return *found;
  }

  std::vector<std::string> check(const configuration& c,
                                 std::map<std::string, service_options>& wanted) const {
    std::vector<std::string> faults = faults_of(c);
    for (const auto& [name, own] : c.services) {
      service_options& o = wanted[name] = effective(name, own, c.defaults);
      const auto present = services.find(name);
      if (present != services.end()) check_change(name, present->second.options, o, faults);
    }
    return faults;
  }

  /// Puts one policy of a service in place: changed, added or kept.
  template <class Options>
  void apply_policy(const std::string& path, const std::optional<Options>& to,
                    std::optional<Options> service_options::* member, service& into, bool is_new,
                    time_point now, std::vector<std::string>& changes) {
    std::optional<Options>& from = into.options.*member;
    if (!to) {
      if (from) changes.push_back(path + ": not in the configuration any more, kept as it is");
      return;
    }
    if (from) {
      const auto different = differences(texts_of(*from), texts_of(*to));
      if constexpr (has_object<Options>) {
        auto& object = *into.object<typename made_from<Options>::type>();
        if (!different.empty() || has_function(*to)) reconfigure(object, *to, now);
      }
      for (const std::string& d : different) {
        changes.push_back(fmt::format("{}.{}{}", path, d,
                                      has_object<Options> ? "" : " (for pipelines made from now on)"));
      }
      const std::unique_lock lock(mutex);
      from = to;
    } else {
      if (!is_new) changes.push_back(path + ": added");
      const std::unique_lock lock(mutex);
      if constexpr (has_object<Options>) {
        into.object<typename made_from<Options>::type>() = make_object(*to, now);
      }
      from = to;
    }
  }
};

}  // namespace detail

registry::registry(configuration c, time_point now)
    : state_(std::make_unique<detail::registry_state>()) {
  apply(std::move(c), now);
}
registry::registry(registry&&) noexcept = default;
registry& registry::operator=(registry&&) noexcept = default;
registry::~registry() = default;

std::vector<std::string> registry::apply(configuration c, time_point now) {
  detail::registry_state& s = *state_;
  const std::lock_guard applying(s.applying);
  std::map<std::string, service_options> wanted;
  if (auto faults = s.check(c, wanted); !faults.empty()) {
    throw invalid_options("configuration", std::move(faults));
  }
  // From here on nothing can be refused. Objects are changed outside of the lock: they may have to
  // resume somebody.
  std::vector<std::string> changes;
  for (const auto& [name, options] : wanted) {
    const auto present = s.services.find(name);
    const bool is_new = present == s.services.end();
    detail::service made;  // seen by others once it is complete
    detail::service& into = is_new ? made : present->second;
    detail::members<service_options>::visit([&](std::string_view policy, auto member) {
      s.apply_policy(fmt::format("{}.{}", name, policy), options.*member, member, into, is_new, now,
                     changes);
    });
    if (is_new) {
      changes.push_back(name + ": added");
      const std::unique_lock lock(s.mutex);
      s.services.emplace(name, std::move(made));
    }
  }
  for (const auto& entry : s.services) {
    if (!wanted.contains(entry.first)) {
      changes.push_back(entry.first + ": not in the configuration any more, kept as it is");
    }
  }
  return changes;
}

circuit_breaker registry::breaker(std::string_view name) const {
  return state_->get<circuit_breaker>(name, "circuit_breaker");
}
holdfast::bulkhead registry::bulkhead(std::string_view name) const {
  return state_->get<holdfast::bulkhead>(name, "bulkhead");
}
rate_limiter registry::limiter(std::string_view name) const {
  return state_->get<rate_limiter>(name, "rate_limiter");
}
retry_budget registry::budget(std::string_view name) const {
  return state_->get<retry_budget>(name, "retry_budget");
}
holdfast::throttle registry::throttle(std::string_view name) const {
  return state_->get<holdfast::throttle>(name, "throttle");
}
holdfast::adaptive_limit registry::adaptive_limit(std::string_view name) const {
  return state_->get<holdfast::adaptive_limit>(name, "adaptive_limit");
}
holdfast::hedge registry::hedge(std::string_view name) const {
  return state_->get<holdfast::hedge>(name, "hedge");
}
load_shedder registry::shedder(std::string_view name) const {
  return state_->get<load_shedder>(name, "load_shedder");
}
holdfast::chaos registry::chaos(std::string_view name) const {
  return state_->get<holdfast::chaos>(name, "chaos");
}

holdfast::timeout registry::timeout(std::string_view name) const {
  holdfast::timeout t = state_->value(name, "timeout", &service_options::timeout);
  if (t.name.empty()) t.name = name;
  return t;
}

holdfast::retry registry::retry(std::string_view name) const {
  holdfast::retry r = state_->value(name, "retry", &service_options::retry);
  if (r.name.empty()) r.name = name;
  if (!r.budget) {
    const std::shared_lock lock(state_->mutex);
    r.budget = state_->find(name).second.object<retry_budget>();
  }
  return r;
}

std::vector<std::string> registry::names() const {
  const std::shared_lock lock(state_->mutex);
  std::vector<std::string> out;
  for (const auto& s : state_->services) out.push_back(s.first);
  return out;
}

std::size_t registry::size() const {
  const std::shared_lock lock(state_->mutex);
  return state_->services.size();
}

bool registry::contains(std::string_view name) const {
  const std::shared_lock lock(state_->mutex);
  return state_->services.contains(name);
}

std::vector<service_snapshot> registry::snapshot(time_point now) const {
  const std::shared_lock lock(state_->mutex);
  std::vector<service_snapshot> out;
  for (const auto& [name, s] : state_->services) out.push_back(detail::snapshot_of(name, s, now));
  return out;
}

service_snapshot registry::snapshot_of(std::string_view name, time_point now) const {
  const std::shared_lock lock(state_->mutex);
  const auto& found = state_->find(name);
  return detail::snapshot_of(found.first, found.second, now);
}

std::string registry::describe() const {
  const std::shared_lock lock(state_->mutex);
  std::string out;
  for (const auto& [name, s] : state_->services) {
    for (const auto& [path, text] : detail::texts_of(s.options)) {
      out += fmt::format("{}.{}: {}\n", name, path, text);
    }
  }
  return out;
}

}  // namespace holdfast
