// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_JUDGE_HPP
#define HOLDFAST_DETAIL_JUDGE_HPP

#include <concepts>
#include <holdfast/classifier.hpp>
#include <holdfast/result.hpp>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// Whether `f` came from a policy that turned the call away, so that any failure of the service
/// itself says more.
inline bool is_refusal(const failure& f) noexcept { return f.code() == condition::rejected; }

template <class T>
bool is_refused(const result<T>& r) noexcept {
  return r.has_error() && is_refusal(r.assume_error());
}

/// Whether the classifier has nothing to say about values.
template <class Classifier, class T>
inline constexpr bool accepts_any_value = !std::invocable<const Classifier&, const T&>;
template <class Classifier>
inline constexpr bool accepts_any_value<Classifier, void> = true;

/// Refuses a classifier that would never be asked, or whose answer cannot be used.
template <class Classifier, class T>
constexpr void check_classifier() {
  constexpr bool takes_failures = std::invocable<const Classifier&, const failure&>;
  constexpr bool takes_values = !accepts_any_value<Classifier, T>;
  static_assert(takes_failures || takes_values,
                "holdfast: the classifier takes neither the value of the call (const T&) nor a "
                "const hf::failure&, or is not const, and so would judge nothing.");
  if constexpr (takes_failures) {
    static_assert(std::convertible_to<std::invoke_result_t<const Classifier&, const failure&>,
                                      classification>,
                  "holdfast: a classifier gives a hf::verdict or a hf::classification.");
  }
  if constexpr (takes_values) {
    static_assert(
        std::convertible_to<std::invoke_result_t<const Classifier&, const T&>, classification>,
        "holdfast: a classifier gives a hf::verdict or a hf::classification.");
  }
}

/// Asks the classifier, with what it does not say filled in.
template <class Classifier, class T>
classification classify(const Classifier& classifier, const result<T>& outcome) noexcept {
  try {
    if (outcome.has_value()) {
      if constexpr (accepts_any_value<Classifier, T>) {
        return verdict::success;
      } else {
        return classifier(outcome.assume_value());
      }
    }
    const failure& f = outcome.assume_error();
    if (is_refusal(f)) return {verdict::neutral, f.retry_after()};
    if constexpr (std::invocable<const Classifier&, const failure&>) {
      classification c = classifier(f);
      if (!c.retry_after) c.retry_after = f.retry_after();
      return c;
    } else {
      return {default_classifier()(f), f.retry_after()};
    }
  } catch (...) {
    // A classifier that throws has no say: nothing is counted and nothing is repeated.
    return verdict::request_fault;
  }
}

}  // namespace holdfast::detail

#endif
