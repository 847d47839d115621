# SPDX-License-Identifier: BSL-1.0
# The user's compiler (CXX) first; else the system's g++, if it is new enough; else a newer one.
# g++ 12 and older destroy temporaries of a co_await expression twice. HOLDFAST_PREFER_CLANG, which the
# presets of the sanitizers set, looks for Clang first: libFuzzer comes with it, and the list of what
# ThreadSanitizer is wrong about (tests/tsan.supp) is Clang's.

if(CMAKE_CXX_COMPILER OR DEFINED ENV{CXX})
  return()
endif()

find_program(HOLDFAST_CLANG NAMES clang++-19 clang++-18 clang++-17)
find_program(HOLDFAST_GXX g++)
if(HOLDFAST_GXX)
  execute_process(COMMAND ${HOLDFAST_GXX} -dumpversion OUTPUT_VARIABLE gxx_version)
endif()

if(HOLDFAST_PREFER_CLANG AND HOLDFAST_CLANG)
  set(compiler ${HOLDFAST_CLANG})
elseif(gxx_version VERSION_GREATER_EQUAL 13)
  set(compiler ${HOLDFAST_GXX})
elseif(HOLDFAST_CLANG)
  set(compiler ${HOLDFAST_CLANG})
else()
  find_program(compiler NAMES g++-14 g++-13 NO_CACHE)
endif()
set(CMAKE_CXX_COMPILER ${compiler} CACHE FILEPATH "The compiler")
unset(compiler)
