// SPDX-License-Identifier: BSL-1.0
#include "http.hpp"

#include <boost/asio/ip/address_v4.hpp>
// Boost.JSON without its compiled library: its definitions live in this one file.
#include <boost/json/src.hpp>

namespace demo {

tcp::endpoint loopback(std::uint16_t port) { return {asio::ip::address_v4::loopback(), port}; }

request make_get(std::string_view target) {
  request req{http::verb::get, target, 11};
  req.set(http::field::host, "127.0.0.1");
  return req;
}

request make_post(std::string_view target, const json::value& body) {
  request req{http::verb::post, target, 11};
  req.set(http::field::host, "127.0.0.1");
  req.set(http::field::content_type, "application/json");
  req.body() = json::serialize(body);
  req.prepare_payload();
  return req;
}

response make_response(http::status status, const json::value& body) {
  response res{status, 11};
  res.set(http::field::content_type, "application/json");
  res.body() = json::serialize(body) + "\n";
  res.prepare_payload();
  return res;
}

json::object json_body(const std::string& body) {
  error_code ec;
  json::value parsed = json::parse(body, ec);
  if (ec || !parsed.is_object()) {
    throw bad_request("the body is not a JSON object");
  }
  return std::move(parsed.get_object());
}

std::string text_member(const json::object& object, std::string_view name) {
  const json::value* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->get_string()) : std::string();
}

}  // namespace demo
