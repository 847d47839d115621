# SPDX-License-Identifier: BSL-1.0
# What only those need who work on Holdfast itself: warnings, ccache, and how its own programs run
# as tests.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)  # the target all_verify_interface_header_sets

# Warnings are errors in the CI only: another compiler may have others, and builds all the same.
if("$ENV{CI}" STREQUAL "true")
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # ccache takes precompiled headers only when told that they hold no macros of the command line
  # and no times.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  endif()
endif()

# There are some hundred programs to link, and it takes a third of the time.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  include(CheckLinkerFlag)
  check_linker_flag(CXX -fuse-ld=lld HOLDFAST_HAS_LLD)
  if(HOLDFAST_HAS_LLD)
    add_link_options(-fuse-ld=lld)
  endif()
endif()

function(holdfast_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    # GCC does not see that Asio's coroutine frames are made and freed by the same pair.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
endfunction()

# The headers that nearly every source includes and no change here touches are compiled once for
# what goes into a shared object, and once for what goes into a program. Builds in which Holdfast is a
# part compile without, and so find a missing include.
set(holdfast_precompiled
  <boost/asio.hpp> <boost/outcome.hpp> <fmt/format.h>
  <atomic> <chrono> <functional> <memory> <mutex> <optional> <string> <vector>)
function(holdfast_precompile target)
  if(target STREQUAL "holdfast")
    target_precompile_headers(holdfast PRIVATE ${holdfast_precompiled})
    return()
  endif()
  get_target_property(independent ${target} POSITION_INDEPENDENT_CODE)
  if(independent)
    target_precompile_headers(${target} REUSE_FROM holdfast)
    return()
  endif()
  if(NOT TARGET holdfast_program_headers)
    add_library(holdfast_program_headers OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
    target_link_libraries(holdfast_program_headers PRIVATE holdfast::holdfast fmt::fmt)
    target_precompile_headers(holdfast_program_headers PRIVATE ${holdfast_precompiled})
    holdfast_warnings(holdfast_program_headers)
  endif()
  target_precompile_headers(${target} REUSE_FROM holdfast_program_headers)
endfunction()

set(HOLDFAST_TEST_PREFIX "" CACHE STRING "Put before the name of every test")
set(HOLDFAST_TEST_ENVIRONMENT "" CACHE STRING "NAME=VALUE for every test")

# All the programs that tests run.
add_custom_target(test_programs)

# A program that is a test: it passes when it returns 0. What else is given are its arguments.
function(holdfast_add_program_test name)
  add_dependencies(test_programs ${name})
  add_test(NAME ${HOLDFAST_TEST_PREFIX}${name} COMMAND ${name} ${ARGN})
  # The sanitizers name functions, and so know which reports to suppress, by a tool that stands
  # beside the compiler.
  get_filename_component(compiler ${CMAKE_CXX_COMPILER} REALPATH)
  get_filename_component(tools ${compiler} DIRECTORY)
  set_tests_properties(${HOLDFAST_TEST_PREFIX}${name} PROPERTIES
    TIMEOUT 120
    ENVIRONMENT "${HOLDFAST_TEST_ENVIRONMENT}"
    ENVIRONMENT_MODIFICATION PATH=path_list_prepend:${tools})
endfunction()
