// SPDX-License-Identifier: BSL-1.0
#include "http_client.hpp"

namespace demo {
namespace {

constexpr std::size_t most_idle = 64;

}  // namespace

http_client::connection http_client::take() {
  if (idle_.empty()) {
    return {beast::tcp_stream(executor_), false};
  }
  // The one used last is the least likely to have been closed by the server meanwhile.
  beast::tcp_stream stream = std::move(idle_.back());
  idle_.pop_back();
  return {std::move(stream), true};
}

void http_client::keep(beast::tcp_stream stream) {
  if (idle_.size() < most_idle) {
    stream.expires_never();
    idle_.push_back(std::move(stream));
  }
}

}  // namespace demo
