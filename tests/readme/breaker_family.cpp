// SPDX-License-Identifier: BSL-1.0
// What docs/breaker_family.md shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <tuple>

TEST_CASE("breaker family: a breaker for each tenant") {
  in_virtual_time([](hf::testing::virtual_time&) -> asio::awaitable<void> {
    const auto fails = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    const auto works = []() -> asio::awaitable<int> { co_return 1; };
    // [basic]
    hf::breaker_family shards{{.breaker = {.name = "shard", .consecutive_failures = 2},
                               .max_keys = 10'000}};
    auto guard = hf::pipeline().with(shards);

    for (int i = 0; i < 2; ++i) std::ignore = co_await guard(fails, {.tenant = "acme"});
    hf::result<int> acme = co_await guard(works, {.tenant = "acme"});
    CHECK(acme.error().code() == hf::errc::circuit_open);
    hf::result<int> others = co_await guard(works, {.tenant = "initech"});
    CHECK(others.value() == 1);

    CHECK(shards.state("acme") == hf::breaker_state::open);
    CHECK(shards.snapshot().keys == 2);
    // [/basic]
  });
}
