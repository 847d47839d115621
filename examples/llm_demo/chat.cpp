// SPDX-License-Identifier: BSL-1.0
#include "chat.hpp"

#include <fmt/format.h>

namespace demo {
namespace {

constexpr std::size_t remembered_turns = 20;

}  // namespace

question parse_question(const std::string& body) {
  const json::object asked = json_body(body);
  question q{text_member(asked, "user"), text_member(asked, "question")};
  if (q.text.empty()) {
    throw bad_request(R"(expected {"user": "...", "question": "..."})");
  }
  return q;
}

std::string user_of(std::string_view target) {
  constexpr std::string_view key = "user=";
  const std::size_t at = target.find(key);
  return at == std::string_view::npos ? std::string() : std::string(target.substr(at + key.size()));
}

request completion_request(std::string_view model, std::string_view prompt) {
  return make_post("/v1/chat/completions", {{"model", model}, {"prompt", prompt}});
}

std::string completion_text(const response& res) {
  if (res.result() != http::status::ok) {
    throw provider_error(fmt::format("the provider answered {}", res.result_int()));
  }
  error_code ec;
  const json::value body = json::parse(res.body(), ec);
  const json::value* text = ec ? nullptr : body.find_pointer("/choices/0/message/content", ec);
  if (!text || !text->is_string()) {
    throw provider_error("the provider's answer lacks a message");
  }
  return std::string(text->get_string());
}

void conversations::add(const std::string& user, std::string question, std::string answer) {
  std::deque<turn>& turns = turns_[user];
  turns.push_back({std::move(question), std::move(answer)});
  if (turns.size() > remembered_turns) {
    turns.pop_front();
  }
}

json::value conversations::of(const std::string& user) const {
  json::array listed;
  if (const auto found = turns_.find(user); found != turns_.end()) {
    for (const turn& t : found->second) {
      listed.push_back({{"question", t.question}, {"answer", t.answer}});
    }
  }
  return {{"user", user}, {"turns", std::move(listed)}};
}

}  // namespace demo
