// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SIMILARITY_HPP
#define HOLDFAST_DETAIL_SIMILARITY_HPP

#include <cstdint>
#include <string_view>
#include <vector>

namespace holdfast::detail {

/// What of a text is compared: the trigrams of its words, each word padded by two blanks before and
/// one behind it, as a set, without case (ASCII) and punctuation. As PostgreSQL's pg_trgm has it.
struct text_features {
  std::vector<std::uint32_t> trigrams;  // hashed, in order, each once
  std::vector<std::uint32_t> numbers;   // words with a digit in them, hashed, in order, each once
};
text_features features_of(std::string_view text);

/// The share of trigrams that both have in those that either has (Jaccard's index): 1 for the same
/// set, 0 for nothing in common. 0 as well where the words with digits differ: "2024" is not nearly
/// "2025".
double similarity_of(const text_features& a, const text_features& b) noexcept;

}  // namespace holdfast::detail

#endif
