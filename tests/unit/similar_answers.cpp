// SPDX-License-Identifier: BSL-1.0
// How long similar answers, and the caches that feed them, keep each other and what they hold.
#include <catch2/catch_all.hpp>
#include <holdfast/policy/cache.hpp>
#include <holdfast/policy/similar_answers.hpp>
#include <memory>
#include <optional>
#include <string>

#include "../support/allocations.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

}  // namespace

TEST_CASE("similar answers: a cache forgets those that are gone", "[similarity]") {
  hf::cache<std::shared_ptr<int>> answers({.max_entries = 1});
  using similar = hf::similar_answers<std::shared_ptr<int>>;
  const auto value = std::make_shared<int>(1);
  {
    const similar first(answers), second(answers);
    const similar copy = first;
    answers.put("the question", value);
    CHECK(copy.find("the question"));
    CHECK(second.find("the question"));
  }
  answers.put("another", nullptr);  // for lack of room the first leaves
  CHECK(value.use_count() == 1);

  const auto link = [&] { return similar(answers).link(); }();
  answers.put("the question", value);
  answers.put("another", nullptr);
  CHECK(value.use_count() == 2);  // a link goes on being told

  const auto before = support::live_blocks();
  for (int i = 0; i < 1000; ++i) similar(answers).put("question", nullptr);
  CHECK(support::live_blocks() == before);
}

TEST_CASE("similar answers: those that outlive their cache, and the other way round",
          "[similarity]") {
  auto answers = std::make_optional<hf::cache<int>>();
  std::optional<hf::similar_answers<int>> similar(*answers);
  answers->put("the question", 1);
  answers.reset();
  CHECK(similar->find("the question")->answer == 1);
  similar.reset();
}

TEST_CASE("similar answers: what is too old to be given is given up", "[similarity]") {
  hf::similar_answers<int> similar({.max_entries = 1000, .max_age = 10s});
  for (int i = 0; i < 1000; ++i) similar.put("question " + std::to_string(i), i, at(0s));
  CHECK(similar.size() == 1000);
  similar.put("a late question", 1, at(10s));
  CHECK(similar.size() == 1000);
  similar.put("a later question", 2, at(11s));
  CHECK(similar.size() == 2);
  CHECK(similar.find("a late question", at(11s))->answer == 1);
  similar.put("the latest question", 3, at(1h));
  CHECK(similar.size() == 1);
}
