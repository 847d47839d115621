// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/similarity.hpp>
#include <string>

namespace holdfast::detail {

namespace {

bool is_digit(unsigned char c) noexcept { return c >= '0' && c <= '9'; }

/// Letters, digits, and every byte of a character beyond ASCII.
bool is_word(unsigned char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

char lower(unsigned char c) noexcept {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

// FNV-1a, 32 bit (G. Fowler, L. C. Noll, P. Vo).
std::uint32_t hash_of(std::string_view text) noexcept {
  std::uint32_t h = 2166136261u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 16777619u;
  return h;
}

void make_set(std::vector<std::uint32_t>& v) {
  std::ranges::sort(v);
  const auto rest = std::ranges::unique(v);
  v.erase(rest.begin(), rest.end());
}

void add_word(text_features& f, std::string_view word) {
  const std::string padded = "  " + std::string(word) + " ";
  for (std::size_t i = 0; i + 3 <= padded.size(); ++i) {
    f.trigrams.push_back(hash_of(std::string_view(padded).substr(i, 3)));
  }
  if (std::ranges::any_of(word, is_digit)) f.numbers.push_back(hash_of(word));
}

}  // namespace

text_features features_of(std::string_view text) {
  text_features f;
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_word(byte)) {
      word += lower(byte);
    } else if (!word.empty()) {
      add_word(f, word);
      word.clear();
    }
  }
  if (!word.empty()) add_word(f, word);
  make_set(f.trigrams);
  make_set(f.numbers);
  return f;
}

double similarity_of(const text_features& a, const text_features& b) noexcept {
  if (a.trigrams.empty() || b.trigrams.empty() || a.numbers != b.numbers) return 0;
  std::size_t common = 0;
  auto i = a.trigrams.begin();
  auto j = b.trigrams.begin();
  while (i != a.trigrams.end() && j != b.trigrams.end()) {
    if (*i == *j) {
      ++common;
      ++i;
      ++j;
    } else if (*i < *j) {
      ++i;
    } else {
      ++j;
    }
  }
  return static_cast<double>(common) /
         static_cast<double>(a.trigrams.size() + b.trigrams.size() - common);
}

}  // namespace holdfast::detail
