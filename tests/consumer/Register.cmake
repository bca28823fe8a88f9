# Registers the tests that install libkv and use it from outside, by CMake and by pkg-config.
set(consumer "${CMAKE_CURRENT_LIST_DIR}")
set(scratch "${PROJECT_BINARY_DIR}/consumer")

# kv_add_consumer(test script argument...): a test that runs a script of this directory.
function(kv_add_consumer test script)
    add_test(NAME consumer.${test} COMMAND "${CMAKE_COMMAND}"
        "-DSOURCE=${PROJECT_SOURCE_DIR}"
        "-DBUILD=${PROJECT_BINARY_DIR}"
        "-DSCRATCH=${scratch}"
        "-DGENERATOR=${CMAKE_GENERATOR}"
        "-DCONFIG=$<CONFIG>"
        "-DVERSION=${PROJECT_VERSION}"
        "-DVERSIONED=${KV_VERSIONED_SYMBOLS}"
        "-DCC=${CMAKE_C_COMPILER}"
        "-DCXX=${CMAKE_CXX_COMPILER}"
        "-DCARGO_TARGET_DIR=${KV_CARGO_TARGET_DIR}"
        "-DCARGO_TARGET=${KV_CARGO_TARGET}"
        "-DCARGO_FLAGS=${KV_CARGO_FLAGS}"
        ${ARGN} -P "${consumer}/${script}")
    set_tests_properties(consumer.${test} PROPERTIES TIMEOUT 600 LABELS consumer)
endfunction()

kv_add_consumer(install Install.cmake
    "-DLIBDIR=${CMAKE_INSTALL_LIBDIR}" "-DTOOLS=${KV_BUILD_TOOLS}")
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP kv_installed)

kv_add_consumer(find_package Project.cmake "-DUSE=${scratch}/moved")
set_tests_properties(consumer.find_package PROPERTIES FIXTURES_REQUIRED kv_installed)

# These build libkv again; in the same directory of cargo, where there is little left to do.
kv_add_consumer(add_subdirectory Project.cmake "-DUSE=source")
kv_add_consumer(fetch_content Project.cmake "-DUSE=fetched")
kv_add_consumer(multiarch Multiarch.cmake)
set_tests_properties(consumer.add_subdirectory consumer.fetch_content consumer.multiarch
    PROPERTIES RESOURCE_LOCK cargo)

# Whether this system has what programs need that are static altogether.
file(WRITE "${scratch}/alone.c" "int main(void) { return 0; }\n")
execute_process(COMMAND "${CMAKE_C_COMPILER}" -static "${scratch}/alone.c" -o "${scratch}/alone"
    RESULT_VARIABLE kv_no_static_system OUTPUT_QUIET ERROR_QUIET)
set(kinds shared static)
if(kv_no_static_system)
    message(NOTICE "There is no static library of C: no program is linked with -static")
else()
    list(APPEND kinds alone)
endif()

find_program(KV_PKG_CONFIG pkg-config)
if(KV_PKG_CONFIG)
    foreach(language c cpp)
        foreach(kind IN LISTS kinds)
            set(test consumer.pkg_config_${language}_${kind})
            add_test(NAME ${test} COMMAND sh "${consumer}/pkg_config.sh" ${language} ${kind}
                "${scratch}/moved/${CMAKE_INSTALL_LIBDIR}" "${scratch}/${language}_${kind}")
            set_tests_properties(${test} PROPERTIES
                TIMEOUT 120 LABELS consumer FIXTURES_REQUIRED kv_installed
                ENVIRONMENT "CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
        endforeach()
    endforeach()
else()
    message(NOTICE "pkg-config was not found: kv.pc is not tested")
endif()
