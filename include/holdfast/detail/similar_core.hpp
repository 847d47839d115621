// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SIMILAR_CORE_HPP
#define HOLDFAST_DETAIL_SIMILAR_CORE_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/cache_layer.hpp>
#include <holdfast/detail/similarity.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

struct similar_options {
  /// Appears in ledgers. May be empty. `reconfigure` does not change it.
  std::string name = {};

  /// How many answers are searched; the oldest goes first. 1 to 100,000: a search looks at all of
  /// them.
  std::size_t max_entries = 256;

  /// How similar a question must be, at least. Above 0, up to 1.
  double threshold = 0.8;

  /// Answers older than that are not given. At least zero; zero: no bound.
  duration max_age = std::chrono::hours(1);

  /// Compares the question that is asked with one that was answered: 0 to 1, or more is more.
  /// Called for each kept answer, without a lock, from any thread. Null: words and trigrams; see
  /// `similar_answers`.
  std::function<double(std::string_view asked, std::string_view kept)> similarity = nullptr;

  /// What of a key comes before the first occurrence of this text is not compared but must be
  /// equal: with "/", keys "acme/question" never get what "other/question" was answered. Empty: all
  /// keys are compared with each other, as a whole.
  std::string scope_separator = {};
};

namespace detail {

/// Answers and their questions, by similarity, without the values' type.
class similar_core final : public cache_observer {
 public:
  explicit similar_core(similar_options options);
  ~similar_core() override;

  /// Is told what a cache keeps, until it dies. Before it is shared.
  static void observe(const std::shared_ptr<similar_core>& self,
                      const std::shared_ptr<cache_state>& cache);

  void stored(std::string_view key, const kept_ptr& item, time_point now) override;
  void erased(std::string_view key) override;
  void cleared() override;

  struct match {
    kept_ptr item;
    double similarity = 0;
    std::string key;
    time_point stored{};
  };
  /// Finds the most similar answer; among equals the newest. May throw what the user's function
  /// throws.
  match find(std::string_view key, time_point now) const;

  void reconfigure(similar_options options);
  std::size_t size() const;
  const std::string& name() const noexcept { return name_; }

 private:
  struct entry {
    std::string key;
    std::size_t scope;  // how much of the key is the scope
    text_features features;
    kept_ptr item;
    time_point at;
  };
  using entry_ptr = std::shared_ptr<const entry>;
  static entry_ptr make_entry(std::string_view key, kept_ptr item, time_point at,
                              const similar_options& o);

  /// Lets go of the answers that are too old to be given. Under the lock.
  void drop_stale(time_point now, std::vector<entry_ptr>& dead);

  const std::string name_;
  std::weak_ptr<cache_state> cache_;
  mutable sync::mutex mutex_;  // guards what follows; not held while texts are compared
  std::shared_ptr<const similar_options> options_;
  std::vector<entry_ptr> entries_;  // oldest first
};

}  // namespace detail
}  // namespace holdfast

#endif
