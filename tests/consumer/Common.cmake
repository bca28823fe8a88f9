# What the scripts of this directory share: running commands, and what an installed tree must hold.
cmake_policy(VERSION 3.16)

# run(command...): fails when the command does.
function(run)
    execute_process(COMMAND ${ARGV} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "ended with ${result}: ${ARGV}")
    endif()
endfunction()

# configure(source build option...): as the build under test was configured.
function(configure source build)
    # A list that goes through two calls as one argument.
    string(REPLACE ";" "\\;" flags "${CARGO_FLAGS}")
    run("${CMAKE_COMMAND}" -S "${source}" -B "${build}" -G "${GENERATOR}"
        "-DCMAKE_BUILD_TYPE=${CONFIG}" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}"
        "-DKV_CARGO_TARGET_DIR=${CARGO_TARGET_DIR}" "-DKV_CARGO_TARGET=${CARGO_TARGET}"
        "-DKV_CARGO_FLAGS=${flags}" "-DKV_VERSIONED_SYMBOLS=${VERSIONED}" ${ARGN})
endfunction()

# check_tree(prefix libdir): all that is installed is there, and nothing else. The command line is
# there with TOOLS.
function(check_tree prefix libdir)
    string(REGEX MATCH "^[0-9]+" major "${VERSION}")
    set(wanted include/kv.h include/kv.hpp)
    file(GLOB parts RELATIVE "${SOURCE}" "${SOURCE}/include/kv/*.hpp")
    list(APPEND wanted ${parts})
    foreach(file libkv.a libkv.so libkv.so.${major} libkv.so.${VERSION} pkgconfig/kv.pc
            cmake/kv/kvConfig.cmake cmake/kv/kvConfigVersion.cmake)
        list(APPEND wanted "${libdir}/${file}")
    endforeach()
    if(TOOLS)
        file(GLOB pages RELATIVE "${BUILD}/tools/man" "${BUILD}/tools/man/kv*.1")
        list(TRANSFORM pages PREPEND share/man/man1/)
        list(APPEND wanted ${pages} bin/kv share/bash-completion/completions/kv
            share/zsh/site-functions/_kv share/fish/vendor_completions.d/kv.fish)
    endif()
    file(GLOB_RECURSE found RELATIVE "${prefix}" "${prefix}/*")
    list(SORT wanted)
    list(SORT found)
    if(NOT found STREQUAL wanted)
        message(FATAL_ERROR "installed in ${prefix}:\n  ${found}\nexpected:\n  ${wanted}")
    endif()

    set(lib "${prefix}/${libdir}")
    check_link("${lib}/libkv.so" libkv.so.${major})
    check_link("${lib}/libkv.so.${major}" libkv.so.${VERSION})
    execute_process(COMMAND test -x "${lib}/libkv.so.${VERSION}" RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${lib}/libkv.so.${VERSION} is not executable")
    endif()

    # A debug build may be of any size. What is shipped has grown a little or somebody knows why.
    set(bytes 0)
    if(CONFIG STREQUAL "Release")
        set(bytes 1750000)
    endif()
    set(map none)
    if(VERSIONED)
        set(map "${SOURCE}/cmake/libkv.map")
    endif()
    run(sh "${SOURCE}/tests/consumer/library.sh"
        "${lib}/libkv.so.${VERSION}" libkv.so.${major} "${map}" ${bytes})
endfunction()

function(check_link link wanted)
    file(READ_SYMLINK "${link}" found)
    if(NOT found STREQUAL wanted)
        message(FATAL_ERROR "${link} points to ${found}, not to ${wanted}")
    endif()
endfunction()
