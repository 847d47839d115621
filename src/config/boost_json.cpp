// SPDX-License-Identifier: BSL-1.0
// Boost.JSON itself, where there is no compiled one.
#include <boost/json/src.hpp>
