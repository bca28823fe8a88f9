# Installs as Debian does, to /usr/lib/<triple> below a staging directory, and asks pkg-config.
include("${CMAKE_CURRENT_LIST_DIR}/Common.cmake")

set(libdir lib/x86_64-linux-gnu)
set(stage "${SCRATCH}/multiarch/stage")
file(REMOVE_RECURSE "${SCRATCH}/multiarch")
configure("${SOURCE}" "${SCRATCH}/multiarch/build"
    -DKV_BUILD_TESTS=OFF -DKV_BUILD_EXAMPLES=OFF
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=${libdir})
run("${CMAKE_COMMAND}" --build "${SCRATCH}/multiarch/build" --config "${CONFIG}")
run("${CMAKE_COMMAND}" -E env "DESTDIR=${stage}"
    "${CMAKE_COMMAND}" --install "${SCRATCH}/multiarch/build" --config "${CONFIG}" --strip)
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
