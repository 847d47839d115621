# SPDX-License-Identifier: BSL-1.0
# Models of the kernels that threads share, explored by relacy: the library's own sources, compiled
# with the headers in model/seam/ in place of two of its own, and without the library itself.
find_path(RELACY_INCLUDE_DIR relacy/relacy.hpp)
mark_as_advanced(RELACY_INCLUDE_DIR)
if(NOT RELACY_INCLUDE_DIR)
  message(STATUS "Relacy not found: no models")
  return()
endif()

set(kernels
  detail/breaker_history.cpp
  detail/cache_core.cpp
  detail/call_ring.cpp
  detail/calls_in_flight.cpp
  detail/cancellation_scope.cpp
  detail/duration_histogram.cpp
  detail/event_queue.cpp
  detail/failure_window.cpp
  detail/flight.cpp
  detail/format.cpp
  detail/gcra.cpp
  detail/half_open_probes.cpp
  detail/home.cpp
  detail/limiter_core.cpp
  detail/place.cpp
  detail/resumption.cpp
  detail/schedule_holes.cpp
  detail/sliding_log.cpp
  detail/striped_counts.cpp
  errc.cpp
  failure.cpp
  invalid_options.cpp
  policy/breaker_cell.cpp
  policy/breaker_core.cpp
  policy/breaker_machine.cpp
  policy/breaker_rules.cpp
  policy/breaker_trials.cpp
  policy/bulkhead.cpp
  policy/bulkhead_queue.cpp
  policy/retry_budget.cpp
  short_name.cpp
  time/time_service.cpp
  time/timer_wheel.cpp
  verdict.cpp)
list(TRANSFORM kernels PREPEND ${PROJECT_SOURCE_DIR}/src/)

add_library(holdfast_explored STATIC EXCLUDE_FROM_ALL ${kernels} model/explore.cpp)
target_include_directories(holdfast_explored PUBLIC model/seam ${PROJECT_SOURCE_DIR}/include)
target_include_directories(holdfast_explored SYSTEM PUBLIC ${RELACY_INCLUDE_DIR})
target_link_libraries(holdfast_explored PUBLIC Boost::headers fmt::fmt Threads::Threads)
target_compile_features(holdfast_explored PUBLIC cxx_std_20)
target_precompile_headers(holdfast_explored PRIVATE
  <boost/asio.hpp> <fmt/format.h> <holdfast/detail/sync.hpp>
  <chrono> <functional> <memory> <optional> <string> <vector>)
holdfast_warnings(holdfast_explored)
# What runs most is relacy, and that is in one file; the rest had rather be compiled fast.
target_compile_options(holdfast_explored PUBLIC -O0)
set_source_files_properties(model/explore.cpp PROPERTIES
  COMPILE_OPTIONS -O2 SKIP_PRECOMPILE_HEADERS ON)

# holdfast_model(name source): one program, one test of that name.
function(holdfast_model name source)
  if(HOLDFAST_TEST_FILTER AND NOT name MATCHES "${HOLDFAST_TEST_FILTER}")
    return()
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE holdfast_explored)
  target_precompile_headers(${name} REUSE_FROM holdfast_explored)
  holdfast_warnings(${name})
  holdfast_add_program_test(${name})
endfunction()

holdfast_model(model_breaker model/breaker.cpp)
holdfast_model(model_budget model/budget.cpp)
holdfast_model(model_bulkhead model/bulkhead.cpp)
holdfast_model(model_counts model/counts.cpp)
holdfast_model(model_flight model/flight.cpp)
holdfast_model(model_gate model/gate.cpp)
holdfast_model(model_limiter model/limiter.cpp)
holdfast_model(model_waits model/waits.cpp)
