// SPDX-License-Identifier: BSL-1.0
//
// A stand-in for a provider of language models: a real HTTP server that can be told to misbehave.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace demo {

/// What goes wrong, as shares of the requests from 0 to 1.
struct faults {
  double hang = 0;  ///< say nothing for a minute, then answer after all
  double fail = 0;  ///< answer 503 at once
};

struct provider_options {
  std::string model;
  std::chrono::milliseconds fastest{20};  ///< a healthy answer takes between these two
  std::chrono::milliseconds slowest{60};
  std::uint64_t seed = 1;
};

/// Serves `POST /v1/chat/completions`, and `GET` and `POST /faults` ({"hang": 0.5, "fail": 0}) to
/// see and to change the faults from outside. Returns its port, chosen by the system.
std::uint16_t start_provider(boost::asio::io_context& ctx, provider_options options);

}  // namespace demo
