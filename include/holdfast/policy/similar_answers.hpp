// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_SIMILAR_ANSWERS_HPP
#define HOLDFAST_POLICY_SIMILAR_ANSWERS_HPP

#include <boost/asio/awaitable.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/detail/cache_link.hpp>
#include <holdfast/detail/similar_core.hpp>
#include <holdfast/policy/cache.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {

/// Similar answers as a link of a fallback chain.
template <class Value>
class similar_link {
 public:
  using is_holdfast_link = void;
  static constexpr quality best = quality::similar;

  similar_link(std::shared_ptr<const similar_core> core, std::shared_ptr<const cache_state> keys)
      : core_(std::move(core)), keys_(std::move(keys)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation& op, const result<T>& outcome) const {
    const time_point now = op.time().precise_now();
    std::string made;
    const std::string_view key = keys_ ? key_for(*keys_, op, made) : op.options.cache_key;
    similar_core::match m;
    try {
      if (!key.empty()) m = core_->find(key, now);
    } catch (...) {
      // A function of the user's has no say on what failed before: nothing similar was found.
    }
    if (op.options.ledger) {
      m.item ? op.options.ledger->grade_link(quality::similar)
             : op.options.ledger->record_miss(core_->name(), key.empty(), now);
    }
    return give_or_keep<T, Value>(std::move(m.item), outcome);
  }

 private:
  std::shared_ptr<const similar_core> core_;
  std::shared_ptr<const cache_state> keys_;
};

}  // namespace detail

/// Answers a question with what a similar one was answered, as a link of a fallback chain.
///
///     hf::similar_answers<std::string> similar(answers, {.threshold = 0.8});
///     auto guard = hf::pipeline().with(answers)
///                      .fallback(answers.link(), {.name = "cache"})
///                      .fallback(similar.link(), {.name = "similar"})
///                      .fallback("Please ask again."s, {.name = "apology"});
///
/// Its answers are marked `quality::similar`: they are answers to another question, and the caller
/// should say so.
///
/// Without a function of the user's, two texts are as similar as the sets of their words' trigrams
/// are (Jaccard's index). That is good for what is nearly the same: another case or punctuation, a
/// misspelling, another order, a small word more or less. It knows nothing of meaning: a paraphrase
/// in other words is not found, and in a long question one word that changes everything ("with",
/// "without") is not noticed; only words with digits must be the same. Where meaning counts, give a
/// function that compares embeddings.
///
/// A handle: copies share what is kept. Thread safety: safe, from any thread. Cost: a search
/// compares with every kept answer; it runs only where everything before it in the chain has
/// failed. To keep an answer costs three allocations and a look at every key.
template <class Value>
class similar_answers {
 public:
  using options = similar_options;

  /// Searches what is put. Throws `invalid_options` that lists every option out of range.
  explicit similar_answers(options o = {})
      : core_(std::make_shared<detail::similar_core>(std::move(o))) {}

  /// Searches what `c` keeps from now on as well, and forgets what `c` is told to forget, but not
  /// what leaves it for reasons of time or room. Uses the keys of `c`. `c` forgets this object with
  /// its last copy and the last of its links.
  explicit similar_answers(const cache<Value>& c, options o = {}) : similar_answers(std::move(o)) {
    keys_ = c.store();
    detail::similar_core::observe(core_, c.store());
  }

  void put(std::string_view question, Value answer, time_point now = clock::now()) {
    core_->stored(question,
                  detail::kept_ptr(new detail::kept_value<Value>(std::move(answer),
                                                                 verdict::success)),
                  now);
  }
  void erase(std::string_view question) { core_->erased(question); }
  void clear() { core_->cleared(); }

  struct match {
    Value answer;
    double similarity;
    std::string question;  ///< That the answer was given to.
    duration age;
  };

  /// Finds the answer of the most similar question. Throws what the similarity function throws.
  std::optional<match> find(std::string_view question, time_point now = clock::now()) const {
    auto m = core_->find(question, now);
    if (!m.item) return {};
    return match{detail::value_of_kept<Value>(*m.item), m.similarity, std::move(m.key),
                 now - m.stored};
  }

  /// Makes the link. The key is the operation's, as for a cache. Where nothing is similar, or the
  /// function throws, the earlier failure stays.
  auto link() const { return detail::similar_link<Value>(core_, keys_); }

  std::size_t size() const { return core_->size(); }

  /// Replaces the options, except the name. What is kept stays as far as the new bound allows.
  /// Throws `invalid_options`, and changes nothing, where an option is out of range.
  void reconfigure(options o) { core_->reconfigure(std::move(o)); }

 private:
  std::shared_ptr<detail::similar_core> core_;
  std::shared_ptr<const detail::cache_state> keys_;
};

}  // namespace holdfast

#endif
