// SPDX-License-Identifier: BSL-1.0
// The program at the top of docs/timeout.md; in real time, a tenth of a second.
// [program]
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <holdfast/resilient.hpp>
#include <iostream>
#include <string>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<std::string> ask(hf::call_context& ctx) {
  co_await hf::sleep_for(1min, ctx.token());  // any Asio operation takes the token
  co_return "too late";
}

asio::awaitable<void> client() {
  auto guard = hf::pipeline().with(hf::timeout{.after = 100ms, .name = "gpt-4"});
  hf::result<std::string> answer = co_await guard(ask);
  if (!answer) std::cout << answer.error().message() << '\n';
  // timeout 'gpt-4': no answer within 100 ms
}

int main() {
  asio::io_context ctx{1};
  asio::co_spawn(ctx, client(), asio::detached);
  ctx.run();
}
// [/program]
