// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the completion handler has no executor
// expect: bulkhead.drain(executor, token)
#include <boost/asio/use_future.hpp>
#include <holdfast/resilient.hpp>

void use(holdfast::bulkhead bulkhead) { bulkhead.drain(boost::asio::use_future).wait(); }
