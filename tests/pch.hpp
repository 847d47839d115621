// SPDX-License-Identifier: BSL-1.0
// Precompiled for the tests. Third-party headers only; a test still includes what it uses.
#pragma once

#include <boost/asio.hpp>
#include <boost/outcome.hpp>
#include <catch2/catch_all.hpp>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>
