// SPDX-License-Identifier: BSL-1.0
#include "json_reader.hpp"

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

}  // namespace holdfast::detail
