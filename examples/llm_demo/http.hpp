// SPDX-License-Identifier: BSL-1.0
//
// The few names of Beast, Asio and Boost.JSON that the demo shares.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace demo {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace json = boost::json;
using boost::system::error_code;
using tcp = asio::ip::tcp;

using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

/// Everything in the demo listens on loopback and nowhere else.
tcp::endpoint loopback(std::uint16_t port);

request make_get(std::string_view target);
request make_post(std::string_view target, const json::value& body);
response make_response(http::status status, const json::value& body);

/// The request is at fault; a server answers 400 with these words.
struct bad_request : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The body as a JSON object; throws bad_request when it is none.
json::object json_body(const std::string& body);

/// A member as text, or nothing: what came over the wire may lack it.
std::string text_member(const json::object& object, std::string_view name);

}  // namespace demo
