// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CONFIG_HPP
#define HOLDFAST_CONFIG_HPP

#define HOLDFAST_VERSION_MAJOR 0
#define HOLDFAST_VERSION_MINOR 1
#define HOLDFAST_VERSION_PATCH 0

// GCC before 13 destroys temporaries of a co_await expression twice (GCC PR 98401, 99576, 101367),
// and `co_await resilient([capture]{...}).with(policy{...})` is made of such temporaries.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13 && \
    !defined(HOLDFAST_ALLOW_BROKEN_GCC_COROUTINES)
#error \
    "holdfast needs GCC >= 13 or Clang >= 17: earlier GCC destroys temporaries in co_await expressions twice. Define HOLDFAST_ALLOW_BROKEN_GCC_COROUTINES only if every chain and every call is a named variable."
#endif

#include <boost/version.hpp>
#if BOOST_VERSION < 108300
#error \
    "holdfast needs Boost >= 1.83: earlier co_spawn has a use-after-free on cancellation (chriskohlhoff/asio#1332)."
#endif

#endif
