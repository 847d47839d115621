// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the completion handler has no executor
// expect: hf::sleep_for(executor, duration, token)
#include <boost/asio/detached.hpp>
#include <holdfast/resilient.hpp>

void use() { holdfast::sleep_for(std::chrono::seconds(1), boost::asio::detached); }
