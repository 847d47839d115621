// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <holdfast/invalid_options.hpp>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "../registry/named_faults.hpp"
#include "../registry/option_members.hpp"
#include "duration_text.hpp"

namespace holdfast::detail {

namespace json = boost::json;

/// Parses a text. Throws `invalid_options` about `what`, with line and column.
json::value parse_json(std::string_view what, std::string_view text);

/// Reads values into structs that have `members`, and collects what it could not read.
class json_reader {
 public:
  std::vector<std::string> faults;

  void fault(const std::string& path, std::string_view reason);
  void wrong_type(const std::string& path, std::string_view wanted, const json::value& v);

  /// The object that `v` is; null where it is none, which is a fault.
  const json::object* object(const std::string& path, const json::value& v);

  /// Every key of `o` that is not among the known ones is a fault.
  void check_keys(const std::string& path, const json::object& o,
                  const std::vector<std::string_view>& known);

  template <class T>
  void read(const std::string& path, const json::value& v, T& into) {
    if constexpr (with_members<T>) {
      read_members(path, v, into);
    } else if constexpr (is_optional<T>) {
      read_optional(path, v, into);
    } else if constexpr (is_vector<T>) {
      read_vector(path, v, into);
    } else if constexpr (is_function<T>) {
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
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (const json::string* s = v.if_string()) {
        into = *s;
      } else {
        wrong_type(path, "a string", v);
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

 private:
  static std::string join(const std::string& path, std::string_view key);

  template <class T>
  void read_members(const std::string& path, const json::value& v, T& into) {
    const json::object* const o = object(path, v);
    if (!o) return;
    std::vector<std::string_view> known;
    members<T>::visit([&](std::string_view name, auto member) {
      known.push_back(name);
      if (const json::value* found = o->if_contains(name)) {
        read(join(path, name), *found, into.*member);
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
    if (const auto d = s ? parse_duration(*s) : std::nullopt) {
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
            find_named(path, v, named_faults(), &named_fault::name)) {
      into = failure(f->code);
    }
  }

  template <class T>
  void read_enum(const std::string& path, const json::value& v, T& into) {
    const auto name = [](T value) { return name_of(value); };
    if (const T* const value = find_named(path, v, values<T>, name)) into = *value;
  }

  template <class T>
  void read_count(const std::string& path, const json::value& v, T& into) {
    boost::system::error_code ec;
    const T n = v.is_number() ? v.to_number<T>(ec) : T();
    if (v.is_number() && !ec) {
      into = n;
    } else {
      wrong_type(path, fmt::format("a whole number from 0 to {}", std::numeric_limits<T>::max()),
                 v);
    }
  }
};

}  // namespace holdfast::detail
