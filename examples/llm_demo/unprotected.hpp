// SPDX-License-Identifier: BSL-1.0
//
// The chat service without Holdfast: what the protected one is compared with.
#pragma once

#include "chat.hpp"

#include <boost/asio/io_context.hpp>

namespace demo {

/// How many requests the unprotected service works on at a time.
inline constexpr unsigned unprotected_workers = 128;
/// How many more may wait for a worker; beyond that it answers 503.
inline constexpr unsigned unprotected_queue = 512;

/// Serves `POST /ask` from gpt-4 by a plain `co_await` and `GET /history` from memory, as a server
/// with a pool of blocking workers would: each request, whatever it is for, occupies one of 128
/// workers from its beginning to its end, and the others queue. `GET /status` needs no worker, so
/// that one can look in. Returns the port.
std::uint16_t start_unprotected_service(asio::io_context& ctx, const chat_options& options);

}  // namespace demo
