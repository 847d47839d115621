// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <holdfast/invalid_options.hpp>
#include <holdfast/read_configuration.hpp>
#include <limits>

#include "../registry/named_faults.hpp"
#include "../registry/nearest.hpp"
#include "../registry/option_members.hpp"
#include "duration_text.hpp"

namespace holdfast {

namespace {

namespace json = boost::json;

/// Reads values into options, and collects what it could not read.
class reader {
 public:
  std::vector<std::string> faults;

  void read_configuration(const json::value& v, configuration& c) {
    const json::object* const o = object("configuration", v);
    if (!o) return;
    check_keys("", *o, {"defaults", "services"});
    if (const json::value* defaults = o->if_contains("defaults")) {
      read("defaults", *defaults, c.defaults);
    }
    const json::value* const services = o->if_contains("services");
    if (!services) return;
    if (const json::object* const all = object("services", *services)) {
      for (const auto& [key, value] : *all) {
        service_options& s = c.services[std::string(std::string_view(key))];
        inherit(s, value, c.defaults);
        read(fmt::format("services.{}", std::string_view(key)), value, s);
      }
    }
  }

 private:
  void fault(const std::string& path, std::string_view reason) {
    faults.push_back(fmt::format("{}: {}", path, reason));
  }

  const json::object* object(const std::string& path, const json::value& v) {
    const json::object* const o = v.if_object();
    if (!o) wrong_type(path, "an object", v);
    return o;
  }

  void wrong_type(const std::string& path, std::string_view wanted, const json::value& v) {
    std::string shown = json::serialize(v);
    if (shown.size() > 40) shown = shown.substr(0, 37) + "...";
    fault(path, fmt::format("must be {}, is {}", wanted, shown));
  }

  void check_keys(const std::string& path, const json::object& o,
                  const std::vector<std::string_view>& known) {
    for (const auto& entry : o) {
      const std::string_view key = entry.key();
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const std::string place = path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
      const std::string_view near = detail::nearest(key, known);
      fault(place, near.empty() ? fmt::format("is not known; known are {}", fmt::join(known, ", "))
                                : fmt::format("is not known; did you mean {}?", near));
    }
  }

  /// A policy that a service says something of begins as the default one.
  static void inherit(service_options& s, const json::value& v, const service_options& defaults) {
    const json::object* const o = v.if_object();
    if (!o) return;
    detail::members<service_options>::visit([&](std::string_view name, auto member) {
      if (o->contains(name) && !(s.*member)) s.*member = defaults.*member;
    });
  }

  template <class T>
  void read(const std::string& path, const json::value& v, T& into) {
    if constexpr (detail::with_members<T>) {
      read_members(path, v, into);
    } else if constexpr (detail::is_optional<T>) {
      read_optional(path, v, into);
    } else if constexpr (detail::is_vector<T>) {
      read_vector(path, v, into);
    } else if constexpr (detail::is_function<T>) {
      fault(path, "is a function: JSON cannot say it, the program can");
    } else if constexpr (std::is_same_v<T, duration>) {
      read_duration(path, v, into);
    } else if constexpr (std::is_same_v<T, failure>) {
      read_fault(path, v, into);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (const bool* b = v.if_bool()) {
        into = *b;
      } else {
        wrong_type(path, "true or false", v);
      }
    } else if constexpr (std::is_enum_v<T>) {
      read_enum(path, v, into);
    } else if constexpr (std::is_floating_point_v<T>) {
      if (v.is_number()) {
        into = v.to_number<T>();
      } else {
        wrong_type(path, "a number", v);
      }
    } else {
      read_count(path, v, into);
    }
  }

  template <class T>
  void read_members(const std::string& path, const json::value& v, T& into) {
    const json::object* const o = object(path, v);
    if (!o) return;
    std::vector<std::string_view> known;
    detail::members<T>::visit([&](std::string_view name, auto member) {
      known.push_back(name);
      if (const json::value* found = o->if_contains(name)) {
        read(fmt::format("{}.{}", path, name), *found, into.*member);
      }
    });
    check_keys(path, *o, known);
  }

  template <class T>
  void read_optional(const std::string& path, const json::value& v, std::optional<T>& into) {
    if (!into) into.emplace();
    read(path, v, *into);
  }

  template <class T>
  void read_vector(const std::string& path, const json::value& v, std::vector<T>& into) {
    const json::array* const a = v.if_array();
    if (!a) return wrong_type(path, "an array", v);
    into.clear();
    for (std::size_t i = 0; i < a->size(); ++i) {
      read(fmt::format("{}[{}]", path, i), (*a)[i], into.emplace_back());
    }
  }

  void read_duration(const std::string& path, const json::value& v, duration& into) {
    const json::string* const s = v.if_string();
    if (const auto d = s ? detail::parse_duration(*s) : std::nullopt) {
      into = *d;
    } else {
      wrong_type(path, "a duration such as \"250ms\", \"1m30s\" or \"1h\"", v);
    }
  }

  /// The one of `all` that is called so; null where there is none, which is a fault.
  template <class All, class Name>
  auto* find_named(const std::string& path, const json::value& v, const All& all, Name name) {
    std::vector<std::string_view> known;
    const json::string* const s = v.if_string();
    for (const auto& one : all) {
      known.push_back(std::invoke(name, one));
      if (s && std::string_view(*s) == known.back()) return &one;
    }
    wrong_type(path, fmt::format("one of {}", fmt::join(known, ", ")), v);
    return static_cast<decltype(&*std::begin(all))>(nullptr);
  }

  void read_fault(const std::string& path, const json::value& v, failure& into) {
    if (const auto* const f =
            find_named(path, v, detail::named_faults(), &detail::named_fault::name)) {
      into = failure(f->code);
    }
  }

  template <class T>
  void read_enum(const std::string& path, const json::value& v, T& into) {
    const auto name = [](T value) { return detail::name_of(value); };
    if (const T* const value = find_named(path, v, detail::values<T>, name)) into = *value;
  }

  template <class T>
  void read_count(const std::string& path, const json::value& v, T& into) {
    boost::system::error_code ec;
    const T n = v.is_number() ? v.to_number<T>(ec) : T();
    if (v.is_number() && !ec) {
      into = n;
    } else {
      wrong_type(path, fmt::format("a whole number from 0 to {}", std::numeric_limits<T>::max()), v);
    }
  }
};

json::value parse(std::string_view text) {
  json::stream_parser parser;
  boost::system::error_code ec;
  const std::size_t read = parser.write(text, ec);
  if (!ec) parser.finish(ec);
  if (!ec) return parser.release();
  const std::string_view before = text.substr(0, std::min(read, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  throw invalid_options("configuration", {fmt::format("line {}, column {}: {}", line,
                                                      before.size() - start + 1, ec.message())});
}

}  // namespace

configuration read_configuration(std::string_view text, configuration base) {
  const json::value v = parse(text);
  reader r;
  r.read_configuration(v, base);
  // What could not be read is as it was: the ranges of the rest are checked all the same.
  for (std::string& f : faults_of(base)) r.faults.push_back(std::move(f));
  if (!r.faults.empty()) throw invalid_options("configuration", std::move(r.faults));
  return base;
}

}  // namespace holdfast
