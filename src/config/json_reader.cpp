// SPDX-License-Identifier: BSL-1.0
#include "json_reader.hpp"

#include "../registry/nearest.hpp"

namespace holdfast::detail {

json::value parse_json(std::string_view what, std::string_view text) {
  json::stream_parser parser;
  boost::system::error_code ec;
  const std::size_t read = parser.write(text, ec);
  if (!ec) parser.finish(ec);
  if (!ec) return parser.release();
  const std::string_view before = text.substr(0, std::min(read, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  throw invalid_options(std::string(what), {fmt::format("line {}, column {}: {}", line,
                                                      before.size() - start + 1, ec.message())});
}

void json_reader::fault(const std::string& path, std::string_view reason) {
  faults.push_back(fmt::format("{}: {}", path.empty() ? "document" : path, reason));
}

void json_reader::wrong_type(const std::string& path, std::string_view wanted,
                             const json::value& v) {
  std::string shown = json::serialize(v);
  if (shown.size() > 40) {
    shown.resize(37);
    shown += "...";
  }
  fault(path, fmt::format("must be {}, is {}", wanted, shown));
}

const json::object* json_reader::object(const std::string& path, const json::value& v) {
  const json::object* const o = v.if_object();
  if (!o) wrong_type(path, "an object", v);
  return o;
}

void json_reader::check_keys(const std::string& path, const json::object& o,
                             const std::vector<std::string_view>& known) {
  for (const auto& entry : o) {
    const std::string_view key = entry.key();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string_view near = nearest(key, known);
    fault(join(path, key),
          near.empty() ? fmt::format("is not known; known are {}", fmt::join(known, ", "))
                       : fmt::format("is not known; did you mean {}?", near));
  }
}

std::string json_reader::join(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

}  // namespace holdfast::detail
