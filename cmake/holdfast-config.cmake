# SPDX-License-Identifier: BSL-1.0
include(CMakeFindDependencyMacro)
find_dependency(Boost 1.83 CONFIG)
find_dependency(fmt 9)
find_dependency(Threads)
find_package(boost_json CONFIG QUIET)  # where holdfast::config was built with a compiled one
include(${CMAKE_CURRENT_LIST_DIR}/holdfast-targets.cmake)
