// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <string>
#include <utility>
#include <vector>

#include "named_faults.hpp"
#include "option_members.hpp"

namespace holdfast::detail {

/// Options as text: the path of each one, and its value.
using option_texts = std::vector<std::pair<std::string, std::string>>;

/// Appends the text of a value, of every member if it has some.
template <class T>
void to_texts(option_texts& out, const std::string& path, const T& value) {
  if constexpr (with_members<T>) {
    members<T>::visit([&](std::string_view name, auto member) {
      to_texts(out, path.empty() ? std::string(name) : fmt::format("{}.{}", path, name),
               value.*member);
    });
  } else if constexpr (is_optional<T>) {
    if (value) to_texts(out, path, *value);
  } else if constexpr (is_vector<T>) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      to_texts(out, fmt::format("{}[{}]", path, i), value[i]);
    }
  } else if constexpr (is_function<T>) {
    if (value) out.emplace_back(path, "a function");
  } else if constexpr (std::is_same_v<T, duration>) {
    out.emplace_back(path, format_duration(value));
  } else if constexpr (std::is_same_v<T, failure>) {
    out.emplace_back(path, name_of_fault(value));
  } else if constexpr (std::is_enum_v<T>) {
    out.emplace_back(path, name_of(value));
  } else {
    out.emplace_back(path, fmt::format("{}", value));
  }
}

template <class T>
option_texts texts_of(const T& value) {
  option_texts out;
  to_texts(out, {}, value);
  return out;
}

/// Tells what differs, as `path: before -> after`.
inline std::vector<std::string> differences(const option_texts& before, const option_texts& after) {
  std::vector<std::string> out;
  const auto find = [](const option_texts& in, const std::string& path) {
    const auto it = std::find_if(in.begin(), in.end(), [&](const auto& t) { return t.first == path; });
    return it == in.end() ? nullptr : &it->second;
  };
  for (const auto& [path, text] : after) {
    const std::string* const old = find(before, path);
    if (!old || *old != text) {
      out.push_back(fmt::format("{}: {} -> {}", path, old ? *old : "none", text));
    }
  }
  for (const auto& [path, text] : before) {
    if (!find(after, path)) out.push_back(fmt::format("{}: {} -> none", path, text));
  }
  return out;
}

}  // namespace holdfast::detail
