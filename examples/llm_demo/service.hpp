// SPDX-License-Identifier: BSL-1.0
//
// The chat service, protected by Holdfast.
#pragma once

#include "chat.hpp"

#include <boost/asio/io_context.hpp>

namespace demo {

/// Serves `POST /ask` through gpt-4, else gpt-3.5, else the cache; `GET /history?user=...` from
/// memory; and `GET /status`. Returns the port.
std::uint16_t start_protected_service(asio::io_context& ctx, const chat_options& options);

}  // namespace demo
