// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/detail/similarity.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/policy/similar_answers.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace hf = holdfast;
using namespace std::chrono_literals;

namespace {

double compare(std::string_view a, std::string_view b) {
  return hf::detail::similarity_of(hf::detail::features_of(a), hf::detail::features_of(b));
}

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

}  // namespace

TEST_CASE("the measure counts trigrams that both texts have", "[similarity]") {
  // "  c", " ca", "cat", "at " and "  c", " ca", "car", "ar ": two of six.
  CHECK(compare("cat", "car") == Catch::Approx(2.0 / 6));
  CHECK(compare("cat", "cat") == 1);
  CHECK(compare("cat", "dog") == 0);
  CHECK(compare("", "") == 0);
  CHECK(compare("?", "cat") == 0);
}

TEST_CASE("what is nearly the same is above the default threshold, what is not is below",
          "[similarity]") {
  const double threshold = hf::similar_options().threshold;
  const std::string question = "What is the capital of France?";
  for (const char* same :
       {"what is the capital of france", "What's the capital of France?",
        "the capital of France, what is it?", "What is the capitol of France?"}) {
    CAPTURE(same);
    CHECK(compare(question, same) >= threshold);
  }
  for (const char* other :
       {"What is the capital of Spain?", "Who is the president of France?", "capital punishment",
        "Which city is the seat of the French government?"}) {  // a paraphrase is not found
    CAPTURE(other);
    CHECK(compare(question, other) < threshold);
  }
}

TEST_CASE("words with digits must be the same", "[similarity]") {
  CHECK(compare("the weather in Berlin on the 12th of May",
                "the weather in Berlin on the 13th of May") == 0);
  CHECK(compare("version 1 of the contract", "the contract, version 1") > 0.5);
}

TEST_CASE("the measure is symmetric, bounded, and takes any bytes", "[similarity]") {
  std::mt19937_64 random(1);
  const auto text = [&] {
    std::string s;
    for (auto n = random() % 40; n > 0; --n) s += static_cast<char>(random() % 256);
    return s;
  };
  for (int i = 0; i < 2000; ++i) {
    const std::string a = text();
    const std::string b = text();
    const double s = compare(a, b);
    REQUIRE(s == compare(b, a));
    REQUIRE(s >= 0);
    REQUIRE(s <= 1);
  }
}

TEST_CASE("similar answers: the most similar one, the newest among equals", "[similarity]") {
  hf::similar_answers<int> similar({.threshold = 0.4});
  similar.put("red apple pie", 1, at(0s));
  similar.put("green apple pie", 2, at(1s));
  const auto m = similar.find("Green apple pies", at(2s));
  REQUIRE(m);
  CHECK(m->answer == 2);
  CHECK(m->question == "green apple pie");
  CHECK(m->age == 1s);
  CHECK(m->similarity > 0.7);
  CHECK_FALSE(similar.find("banana bread", at(2s)));
  similar.put("pie, green apple", 3, at(2s));
  CHECK(similar.find("green apple pie", at(2s))->answer == 3);
}

TEST_CASE("similar answers: bounded in number and age", "[similarity]") {
  hf::similar_answers<int> similar({.max_entries = 3, .max_age = 10s});
  for (int i = 0; i < 10; ++i) similar.put("question " + std::string(1, char('a' + i)), i, at(0s));
  CHECK(similar.size() == 3);
  CHECK(similar.find("question j", at(10s))->answer == 9);
  CHECK_FALSE(similar.find("question j", at(10s + 1ns)));
  similar.put("question j", 10, at(20s));
  CHECK(similar.size() == 1);
  CHECK(similar.find("question j", at(21s))->answer == 10);
  similar.erase("question j");
  CHECK_FALSE(similar.find("question j", at(20s)));
  similar.clear();
  CHECK(similar.size() == 0);
}

TEST_CASE("similar answers: scopes do not mix", "[similarity]") {
  hf::similar_answers<int> similar({.scope_separator = "/"});
  similar.put("acme/what is my balance", 1, at(0s));
  CHECK(similar.find("acme/what is my balance?", at(0s)));
  CHECK_FALSE(similar.find("acne/what is my balance", at(0s)));
  CHECK_FALSE(similar.find("what is my balance", at(0s)));
  similar.reconfigure({.threshold = 0.7});
  CHECK(similar.find("acne/what is my balance", at(0s)));
}

TEST_CASE("similar answers: a function of the user's", "[similarity]") {
  const auto same_length = [](std::string_view a, std::string_view b) {
    if (a == "throw") throw std::runtime_error("no");
    return a.size() == b.size() ? 1.0 : 0.0;
  };
  hf::similar_answers<int> similar({.similarity = same_length});
  similar.put("abc", 1, at(0s));
  CHECK(similar.find("xyz", at(0s))->answer == 1);
  CHECK_FALSE(similar.find("xy", at(0s)));
  CHECK_THROWS_AS(similar.find("throw", at(0s)), std::runtime_error);
  similar.reconfigure({});
  CHECK(similar.find("ABC", at(0s))->answer == 1);
}

TEST_CASE("similar answers: options out of range are named, all of them", "[similarity]") {
  try {
    hf::similar_answers<int> similar({.max_entries = 0, .threshold = 0, .max_age = -1s});
    FAIL("no exception");
  } catch (const hf::invalid_options& e) {
    CHECK(e.faults().size() == 3);
  }
}

TEST_CASE("threads: similar answers", "[similarity][threads]") {
  // Real threads.
  hf::similar_answers<std::string> similar({.max_entries = 8});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string q = "question " + std::string(1, char('a' + i % 10));
        switch ((i + t) % 4) {
          case 0: similar.put(q, q, at(0s)); break;
          case 1: similar.erase(q); break;
          case 2: similar.reconfigure({.max_entries = 4 + static_cast<std::size_t>(i % 5)}); break;
          case 3:
            if (const auto m = similar.find(q, at(0s))) {
              if (m->answer != m->question) std::abort();
            }
            break;
        }
      }
    });
  }
}
