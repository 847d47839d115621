// SPDX-License-Identifier: BSL-1.0
// What a user's first program needs: the headers are found, and what is compiled links. It is a part
// of a program, or of a shared object.
#include <holdfast/read_configuration.hpp>
#include <holdfast/registry.hpp>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/virtual_time.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> slow_answer() {
  co_await hf::sleep_for(1min);
  co_return 1;
}

/// Whether all of it works.
bool use_holdfast() {
  asio::io_context context{1};
  hf::testing::virtual_time time{context, 1};

  bool timed_out = false;
  auto call = [&]() -> asio::awaitable<void> {
    auto pipeline = hf::pipeline().with(hf::timeout{.after = 2s});
    hf::result<int> answer = co_await pipeline(slow_answer);
    timed_out = !answer && answer.error().code() == hf::condition::timed_out;
  };
  asio::co_spawn(context, call, [](std::exception_ptr) {});
  time.run();

  const hf::registry services(
      hf::read_configuration(R"({"services": {"mail": {"timeout": {"after": "2s"}}}})"));
  return timed_out && services.timeout("mail").after == 2s;
}
