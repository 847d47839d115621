# SPDX-License-Identifier: BSL-1.0
include(CMakeFindDependencyMacro)
find_dependency(Boost 1.83 CONFIG)
find_dependency(fmt 9)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/holdfast-targets.cmake)
