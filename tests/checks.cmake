# SPDX-License-Identifier: BSL-1.0
# Checks of the tree as a whole: its headers, its packages, its documentation.

# Every public header compiles alone. CMake writes one source per header of the file sets.
add_test(NAME headers
  COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target all_verify_interface_header_sets)
set_tests_properties(headers PROPERTIES TIMEOUT 900 PROCESSORS 2)

# A project that finds an installed Holdfast, and one that has it as a subdirectory, build and run.
set(consumers ${PROJECT_BINARY_DIR}/consumers)
set(unoptimised
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
# holdfast_consumer(name project prefix_path options...)
function(holdfast_consumer name project prefix_path)
  add_test(NAME consumer.${name}
    COMMAND ${CMAKE_CTEST_COMMAND}
      --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer/${project} ${consumers}/${name}
      --build-generator ${CMAKE_GENERATOR}
      --build-options ${unoptimised} "-DCMAKE_PREFIX_PATH=${prefix_path}" ${ARGN}
      --test-command consumer)
  set_tests_properties(consumer.${name} PROPERTIES TIMEOUT 600 PROCESSORS 2)
endfunction()

add_test(NAME consumer.prefix
  COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${consumers}/prefix)
set_tests_properties(consumer.prefix PROPERTIES FIXTURES_SETUP prefix)
holdfast_consumer(static install "${consumers}/prefix;${CMAKE_PREFIX_PATH}"
  -DEXPECTED_TYPE=STATIC_LIBRARY)
set_tests_properties(consumer.static PROPERTIES FIXTURES_REQUIRED prefix)

# The same with shared libraries, which are built and installed for it.
add_test(NAME consumer.shared_prefix
  COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${PROJECT_SOURCE_DIR} ${consumers}/shared_build
    --build-generator ${CMAKE_GENERATOR}
    --build-target install
    --build-options ${unoptimised} "-DCMAKE_PREFIX_PATH=${CMAKE_PREFIX_PATH}"
      -DBUILD_SHARED_LIBS=ON -DCMAKE_INSTALL_PREFIX=${consumers}/shared_prefix
      -DHOLDFAST_BUILD_TESTS=OFF -DHOLDFAST_BUILD_EXAMPLES=OFF -DHOLDFAST_BUILD_BENCHMARKS=OFF)
set_tests_properties(consumer.shared_prefix PROPERTIES
  FIXTURES_SETUP shared_prefix TIMEOUT 900 PROCESSORS 2)
holdfast_consumer(shared install "${consumers}/shared_prefix;${CMAKE_PREFIX_PATH}"
  -DEXPECTED_TYPE=SHARED_LIBRARY)
set_tests_properties(consumer.shared PROPERTIES FIXTURES_REQUIRED shared_prefix)

holdfast_consumer(subdir subdir "${CMAKE_PREFIX_PATH}")

# What the documentation shows is what the tests compile, and no source is left out of the build.
add_test(NAME docs.snippets COMMAND ${PROJECT_SOURCE_DIR}/scripts/snippets)
add_test(NAME docs.conformance COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/numbered ${PROJECT_SOURCE_DIR})
if(TARGET scenario_retry_storm)
  # Whole lines: all nine that it prints are in the document.
  add_test(NAME docs.standard COMMAND sh -c
    "test $($<TARGET_FILE:scenario_retry_storm> '[table]' | grep '^|' | grep -cxFf docs/standard.md) = 9"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(docs.standard PROPERTIES LABELS check)
endif()
add_test(NAME tree.listed COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/listed ${PROJECT_SOURCE_DIR})

# No assertion awaits: GCC evaluates its expression twice, once for the warnings.
add_test(NAME tree.awaits
  COMMAND sh -c "! grep -rnE '(CHECK|REQUIRE)[A-Z_]*\\(.*co_await' tests"
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})

# ctest -LE check leaves out what takes long.
set_tests_properties(
  headers consumer.prefix consumer.static consumer.shared_prefix consumer.shared consumer.subdir
  docs.conformance docs.snippets tree.awaits tree.listed
  PROPERTIES LABELS check)
