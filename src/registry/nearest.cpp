// SPDX-License-Identifier: BSL-1.0
#include "nearest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace holdfast::detail {

namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
  constexpr std::size_t longest = 100;  // a name of a known thing is shorter
  if (word.size() > longest) return {};
  std::string_view best;
  std::size_t least = longest + 1;
  for (const std::string_view k : known) {
    if (k.size() > longest) continue;
    const std::size_t d = distance(word, k);
    if (d < least && 2 * d <= k.size()) {
      least = d;
      best = k;
    }
  }
  return best;
}

}  // namespace holdfast::detail
