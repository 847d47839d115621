// SPDX-License-Identifier: BSL-1.0
//
// What the load generator saw in one second, or in all: one line of JSON from its process to ours.
#pragma once

#include <boost/json/value.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace demo {

struct request_stats {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;  ///< refused, failed, or not answered within the user's patience
  double p50_ms = 0;       ///< of all, where a lost one took all of the patience; 0: none ended
  double p99_ms = 0;
};

struct load_stats {
  int second = 0;
  bool total = false;  ///< of the whole run: the last line
  request_stats ask;
  request_stats history;
  std::map<std::string, std::uint64_t> answers;  ///< by "source (quality)"
  std::uint64_t in_flight = 0;

  /// Answers from a source, of any quality.
  std::uint64_t answers_from(std::string_view source) const;
};

std::string to_line(const load_stats& stats);
/// Throws when the line is not one of to_line's.
load_stats parse_load_stats(const std::string& line);

}  // namespace demo
