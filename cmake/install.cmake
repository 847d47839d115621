# SPDX-License-Identifier: BSL-1.0
# What find_package(holdfast) needs.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/holdfast)

install(TARGETS holdfast holdfast_testing holdfast_config EXPORT holdfast-targets
        FILE_SET HEADERS FILE_SET detail)
install(EXPORT holdfast-targets NAMESPACE holdfast:: DESTINATION ${package_dir})

write_basic_package_version_file(${PROJECT_BINARY_DIR}/holdfast-config-version.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES cmake/holdfast-config.cmake ${PROJECT_BINARY_DIR}/holdfast-config-version.cmake
        DESTINATION ${package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
