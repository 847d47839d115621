// SPDX-License-Identifier: BSL-1.0
// Requirement A12: one breaker per external service, with its own thresholds and fallbacks.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/read_configuration.hpp>
#include <holdfast/registry.hpp>
#include <holdfast/resilient.hpp>
#include <string>

#include "../support/stage.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::string_view file = R"({
  "defaults": {"timeout": {"after": "5s"}, "circuit_breaker": {"consecutive_failures": 5}},
  "services": {
    "llm":      {"timeout": {"after": "30s"},
                 "circuit_breaker": {"consecutive_failures": 3, "open_for": "60s"}},
    "payments": {"circuit_breaker": {"consecutive_failures": 1, "open_for": "2m"}},
    "mail":     {}
  }})";

}  // namespace

TEST_CASE("A12: the LLM, payments and mail have their own thresholds and fallbacks, found by name",
          "[requirements]") {
  test::stage s;
  const hf::registry services(hf::read_configuration(file), s.time.now());
  const auto guard = [&](std::string_view name, std::string fallback) {
    return hf::pipeline()
        .with(services.timeout(name))
        .with(services.breaker(name))
        .fallback(std::move(fallback));
  };
  const auto llm = guard("llm", "an answer of the smaller model");
  const auto payments = guard("payments", "we have noted your order");
  const auto mail = guard("mail", "queued");
  int calls = 0;
  const auto fails = [&calls]() -> asio::awaitable<hf::result<std::string>> {
    ++calls;
    co_return hf::failure(asio::error::connection_refused);
  };
  const auto works = []() -> asio::awaitable<std::string> { co_return "sent"; };

  s.play([&]() -> asio::awaitable<void> {
    const auto until_open = [&](const auto& service) -> asio::awaitable<int> {
      calls = 0;
      for (int i = 0; i < 10; ++i) std::ignore = co_await service(fails);
      co_return calls;
    };
    const int of_llm = co_await until_open(llm);
    CHECK(of_llm == 3);
    CHECK(services.breaker("llm").state() == hf::breaker_state::open);
    CHECK(services.breaker("payments").state() == hf::breaker_state::closed);
    CHECK(services.breaker("mail").state() == hf::breaker_state::closed);

    hf::result<std::string> sent = co_await mail(works);  // the others do not suffer
    REQUIRE(sent.has_value());
    CHECK(sent.value() == "sent");

    const int of_payments = co_await until_open(payments);
    CHECK(of_payments == 1);
    const int of_mail = co_await until_open(mail);
    CHECK(of_mail == 5);

    hf::result<std::string> answer = co_await llm(works);
    REQUIRE(answer.has_value());
    CHECK(answer.value() == "an answer of the smaller model");
    hf::result<std::string> order = co_await payments(works);
    REQUIRE(order.has_value());
    CHECK(order.value() == "we have noted your order");
  });
  const hf::time_point now = s.time.now();
  CHECK(services.breaker("llm").remaining_open(now) == 60s);
  CHECK(services.breaker("payments").remaining_open(now) == 120s);
  CHECK(services.breaker("mail").remaining_open(now) == 30s);
  CHECK(services.timeout("llm").after == 30s);
  CHECK(services.timeout("mail").after == 5s);
}
