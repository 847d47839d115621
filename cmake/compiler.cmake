# SPDX-License-Identifier: BSL-1.0
# Which compiler: the user's (CXX); else the system's g++ where it is new enough; else a newer one.
# g++ 12 and older destroy temporaries of a co_await expression twice.

if(CMAKE_CXX_COMPILER OR DEFINED ENV{CXX})
  return()
endif()

find_program(HOLDFAST_GXX g++)
if(HOLDFAST_GXX)
  execute_process(COMMAND ${HOLDFAST_GXX} -dumpversion OUTPUT_VARIABLE gxx_version)
endif()
if(gxx_version VERSION_GREATER_EQUAL 13)
  set(CMAKE_CXX_COMPILER ${HOLDFAST_GXX})
else()
  find_program(CMAKE_CXX_COMPILER NAMES clang++-19 clang++-18 clang++-17 g++-14 g++-13)
endif()
