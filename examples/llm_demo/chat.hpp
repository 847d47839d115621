// SPDX-License-Identifier: BSL-1.0
//
// What both chat services, the protected and the unprotected, do alike.
#pragma once

#include "http.hpp"
#include "http_client.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

namespace demo {

struct chat_options {
  std::uint16_t port = 0;  ///< 0: the system chooses
  std::uint16_t gpt4_port = 0;
  std::uint16_t gpt35_port = 0;
};

struct question {
  std::string user;
  std::string text;
};

/// Reads {"user": "...", "question": "..."}; throws bad_request when there is no question.
question parse_question(const std::string& body);

/// The user named in `/history?user=...`.
std::string user_of(std::string_view target);

/// What providers are asked, and the text of what they answer.
request completion_request(std::string_view model, std::string_view prompt);
std::string completion_text(const response& res);

/// The provider answered, and what it said is no answer.
struct provider_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Asks one model. `token` is called for the completion token of each operation.
/// Throws provider_error, or boost::system::system_error from the connection.
template <class Tokens>
asio::awaitable<std::string> ask_model(http_client& provider, std::string_view model,
                                       std::string prompt, Tokens token) {
  const response res = co_await provider.send(completion_request(model, prompt), token);
  co_return completion_text(res);
}

/// Old conversations, in memory: what a chat service can show while its providers are down.
class conversations {
 public:
  void add(const std::string& user, std::string question, std::string answer);
  json::value of(const std::string& user) const;

 private:
  struct turn {
    std::string question;
    std::string answer;
  };
  std::unordered_map<std::string, std::deque<turn>> turns_;
};

}  // namespace demo
