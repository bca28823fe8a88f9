# Installs as Debian does, with the manual, to /usr/lib/<triple> below a staging directory, and asks
# pkg-config.
include("${CMAKE_CURRENT_LIST_DIR}/Common.cmake")

set(libdir lib/x86_64-linux-gnu)
set(stage "${SCRATCH}/multiarch/stage")
file(REMOVE_RECURSE "${SCRATCH}/multiarch")
configure("${SOURCE}" "${SCRATCH}/multiarch/build"
    -DKV_BUILD_TESTS=OFF -DKV_BUILD_EXAMPLES=OFF -DKV_BUILD_TOOLS=OFF -DKV_BUILD_MANUAL=ON
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=${libdir})
run("${CMAKE_COMMAND}" --build "${SCRATCH}/multiarch/build" --config "${CONFIG}")
run("${CMAKE_COMMAND}" -E env "DESTDIR=${stage}"
    "${CMAKE_COMMAND}" --install "${SCRATCH}/multiarch/build" --config "${CONFIG}" --strip)

# The manual has a page for each function. It is no part of what else is installed.
file(STRINGS "${SOURCE}/tests/exports.txt" exports)
foreach(name IN LISTS exports ITEMS libkv)
    if(NOT EXISTS "${stage}/usr/share/man/man3/${name}.3")
        message(FATAL_ERROR "there is no page ${name}(3)")
    endif()
endforeach()
file(REMOVE_RECURSE "${stage}/usr/share")
check_tree("${stage}/usr" ${libdir})

find_program(pkg_config pkg-config)
if(pkg_config)
    set(ENV{PKG_CONFIG_LIBDIR} "${stage}/usr/${libdir}/pkgconfig")
    execute_process(COMMAND "${pkg_config}" --variable=libdir kv
        OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
    get_filename_component(found "${found}" REALPATH)
    get_filename_component(wanted "${stage}/usr/${libdir}" REALPATH)
    if(NOT found STREQUAL wanted)
        message(FATAL_ERROR "kv.pc says libdir is ${found}, not ${wanted}")
    endif()
endif()
