// SPDX-License-Identifier: BSL-1.0
// What docs/storing_pipelines.md shows.
#include "scenario.hpp"

#include <holdfast/any_pipeline.hpp>
#include <string>
#include <utility>

namespace {

struct settings {
  bool retries = true;
};

// [member]
class search_client {
 public:
  explicit search_client(const settings& s) : guard_(guard_for(s)) {}

  asio::awaitable<hf::result<std::string>> ask(std::string question) {
    return guard_([question = std::move(question)](
                      hf::call_context& context) -> asio::awaitable<std::string> {
      co_await hf::sleep_for(10ms, context.token());
      co_return "about " + question;
    });
  }

 private:
  static hf::any_pipeline<std::string> guard_for(const settings& s) {
    auto attempt = hf::pipeline().with(hf::timeout{2s});
    if (!s.retries) return attempt;
    return attempt.with(hf::retry{.max_attempts = 3});
  }

  hf::any_pipeline<std::string> guard_;
};
// [/member]

// [decltype]
inline auto make_guard() {
  return hf::pipeline().with(hf::timeout{2s}).with(hf::retry{.max_attempts = 3});
}

class typed_client {
 public:
  asio::awaitable<hf::result<int>> count() {
    return guard_([]() -> asio::awaitable<int> { co_return 3; });
  }

 private:
  decltype(make_guard()) guard_ = make_guard();
};
// [/decltype]

}  // namespace

TEST_CASE("storing pipelines: in a class, with its type and without") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    for (const bool retries : {false, true}) {
      search_client client(settings{.retries = retries});
      const auto answer = co_await client.ask("rain");
      CHECK(answer.value() == "about rain");
    }
    typed_client typed;
    const auto count = co_await typed.count();
    CHECK(count.value() == 3);
  });
}
