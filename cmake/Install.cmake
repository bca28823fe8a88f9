# What is installed where: the headers, the libraries, and the files by which programs find them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(kv_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/kv")

# kv.pc finds the prefix from its own place, so that an installed tree can be moved. Where
# directories are given absolutely it cannot.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(kv_pc_prefix "${CMAKE_INSTALL_PREFIX}")
    set(kv_pc_libdir "${CMAKE_INSTALL_FULL_LIBDIR}")
    set(kv_pc_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
    file(RELATIVE_PATH kv_pc_up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
    string(REGEX REPLACE "/$" "" kv_pc_up "${kv_pc_up}")
    set(kv_pc_prefix "\${pcfiledir}/${kv_pc_up}")
    set(kv_pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(kv_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()

# Without the shared library, every link is a static one and needs the system's libraries.
set(kv_pc_libs "-lkv")
if(NOT KV_BUILD_SHARED)
    set(kv_pc_libs "-lkv ${KV_NATIVE_LIBRARIES}")
endif()

configure_file(cmake/kv.pc.in "${PROJECT_BINARY_DIR}/package/kv.pc" @ONLY)
configure_package_config_file(cmake/kvConfig.cmake.in
    "${PROJECT_BINARY_DIR}/package/kvConfig.cmake"
    INSTALL_DESTINATION "${kv_package_dir}"
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR
    NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/package/kvConfigVersion.cmake"
    VERSION "${PROJECT_VERSION}" COMPATIBILITY SameMajorVersion)

# kv_strip_installed(directory file component): what cargo built is no target of CMake, so that
# `cmake --install --strip` has to be told.
function(kv_strip_installed directory file component)
    set(installed "\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${directory}/${file}")
    if(IS_ABSOLUTE "${directory}")
        set(installed "\$ENV{DESTDIR}${directory}/${file}")
    endif()
    install(CODE "if(CMAKE_INSTALL_DO_STRIP)
        execute_process(COMMAND \"${CMAKE_STRIP}\" --strip-unneeded \"${installed}\")
    endif()" COMPONENT ${component})
endfunction()

if(KV_BUILD_SHARED)
    # As a program: tools of distributions want shared libraries executable.
    install(PROGRAMS "${kv_output}/${kv_shared_name}"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
    install(FILES "${kv_output}/${kv_soname}"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
    install(FILES "${kv_output}/libkv.so"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
    kv_strip_installed("${CMAKE_INSTALL_LIBDIR}" ${kv_shared_name} runtime)
endif()
if(KV_BUILD_STATIC)
    install(FILES "${kv_output}/libkv.a"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
endif()
install(FILES "${PROJECT_SOURCE_DIR}/include/kv.h" "${PROJECT_SOURCE_DIR}/include/kv.hpp"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/kv"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_BINARY_DIR}/package/kv.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)
install(FILES
    "${PROJECT_BINARY_DIR}/package/kvConfig.cmake"
    "${PROJECT_BINARY_DIR}/package/kvConfigVersion.cmake"
    DESTINATION "${kv_package_dir}" COMPONENT development)
