# The libraries: the target that runs cargo, and the targets programs link, kv::kv and kv::static.

if(WIN32 OR APPLE)
    message(FATAL_ERROR "libkv is built for systems with ELF libraries, such as Linux")
endif()

set(kv_soname "libkv.so.${PROJECT_VERSION_MAJOR}")
set(kv_shared_name "libkv.so.${PROJECT_VERSION}")
set(kv_output "${PROJECT_BINARY_DIR}/lib")
if(kv_multi_config)
    set(kv_output "${kv_output}/$<CONFIG>")
endif()

# A release is built with `cargo rustc`, naming the crate types: with the rlib among them, as
# Cargo.toml lists them for our own tests, rustc leaves out link-time optimisation and does not say
# so. A debug build has none, and shares everything with `cargo test` when built like it.
set(kv_crate_types "")
set(kv_outputs "")
if(KV_BUILD_SHARED)
    list(APPEND kv_crate_types cdylib)
    list(APPEND kv_outputs "${kv_output}/${kv_shared_name}")
endif()
if(KV_BUILD_STATIC)
    list(APPEND kv_crate_types staticlib)
    list(APPEND kv_outputs "${kv_output}/libkv.a")
endif()
if(NOT kv_crate_types)
    message(FATAL_ERROR "KV_BUILD_SHARED and KV_BUILD_STATIC are both off: nothing to build")
endif()
# What is shipped is linked from the static library: rustc passes a version script of its own to the
# linker, which takes no second one, and this way to symbols with versions (KV_1.0) works with every
# linker. A program that was linked to a library without versions runs with either.
option(KV_VERSIONED_SYMBOLS "Link the shared library with symbol versions" ON)
if(KV_BUILD_SHARED AND KV_VERSIONED_SYMBOLS)
    list(REMOVE_ITEM kv_crate_types cdylib)
    list(APPEND kv_crate_types staticlib)
    list(REMOVE_DUPLICATES kv_crate_types)
endif()
string(REPLACE ";" "$<COMMA>" kv_crate_types "${kv_crate_types}")
set(kv_release "rustc;--lib;--release;--crate-type;${kv_crate_types}")
set(kv_cargo_command "$<IF:$<CONFIG:Debug>,build;--lib,${kv_release}>")

set(kv_cargo_environment "CARGO_TARGET_DIR=${KV_CARGO_TARGET_DIR}")
set(kv_cargo_output "${KV_CARGO_TARGET_DIR}")
if(KV_CARGO_TARGET)
    string(TOUPPER "${KV_CARGO_TARGET}" kv_linker_variable)
    string(REPLACE "-" "_" kv_linker_variable "${kv_linker_variable}")
    list(APPEND kv_cargo_environment
        "CARGO_TARGET_${kv_linker_variable}_LINKER=${CMAKE_C_COMPILER}")
    set(kv_cargo_output "${kv_cargo_output}/${KV_CARGO_TARGET}")
endif()
set(kv_cargo_output "${kv_cargo_output}/$<IF:$<CONFIG:Debug>,debug,release>")

set(kv_place_outputs COMMAND "${CMAKE_COMMAND}" -E make_directory "${kv_output}")
separate_arguments(kv_native_libraries UNIX_COMMAND "${KV_NATIVE_LIBRARIES}")
if(KV_BUILD_SHARED)
    set(kv_linked "${kv_cargo_output}/libkv.so")
    if(KV_VERSIONED_SYMBOLS)
        set(kv_linked "${PROJECT_BINARY_DIR}/versioned/libkv.so")
        separate_arguments(kv_user_flags UNIX_COMMAND "${CMAKE_SHARED_LINKER_FLAGS}")
        list(APPEND kv_place_outputs
            COMMAND "${CMAKE_COMMAND}" -E make_directory "${PROJECT_BINARY_DIR}/versioned"
            COMMAND "${CMAKE_C_COMPILER}" -shared -o "${kv_linked}" ${kv_user_flags}
                -Wl,--whole-archive "${kv_cargo_output}/libkv.a" -Wl,--no-whole-archive
                -Wl,--gc-sections "-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/libkv.map"
                "-Wl,-soname,${kv_soname}" -Wl,--build-id -Wl,-z,relro,-z,now,-z,defs,-z,noexecstack
                -Wl,--as-needed ${kv_native_libraries})
    endif()
    list(APPEND kv_place_outputs
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different
            "${kv_linked}" "${kv_output}/${kv_shared_name}"
        COMMAND "${CMAKE_COMMAND}" -E create_symlink ${kv_shared_name} "${kv_output}/${kv_soname}"
        COMMAND "${CMAKE_COMMAND}" -E create_symlink ${kv_soname} "${kv_output}/libkv.so")
endif()
if(KV_BUILD_STATIC)
    list(APPEND kv_place_outputs
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different
            "${kv_cargo_output}/libkv.a" "${kv_output}/libkv.a")
endif()

# Cargo knows best what has changed, so it is always asked.
add_custom_target(kv_cargo ALL
    COMMAND "${CMAKE_COMMAND}" -E env ${kv_cargo_environment}
        "${KV_CARGO}" "${kv_cargo_command}" ${kv_target_flags} ${KV_CARGO_FLAGS}
    ${kv_place_outputs}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS ${kv_outputs}
    COMMENT "Building libkv ${PROJECT_VERSION} with cargo"
    COMMAND_EXPAND_LISTS USES_TERMINAL VERBATIM)

# Sets the location of an imported library, for each configuration where there are several.
function(kv_locate target file)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${kv_output}/${file}")
    foreach(config IN LISTS CMAKE_CONFIGURATION_TYPES)
        string(TOUPPER "${config}" suffix)
        set_target_properties(${target} PROPERTIES
            IMPORTED_LOCATION_${suffix} "${PROJECT_BINARY_DIR}/lib/${config}/${file}")
    endforeach()
    target_include_directories(${target} INTERFACE "${PROJECT_SOURCE_DIR}/include")
    add_dependencies(${target} kv_cargo)
endfunction()

if(KV_BUILD_STATIC)
    add_library(kv::static STATIC IMPORTED GLOBAL)
    kv_locate(kv::static libkv.a)
    target_link_libraries(kv::static INTERFACE ${kv_native_libraries})
endif()
if(KV_BUILD_SHARED)
    add_library(kv::kv SHARED IMPORTED GLOBAL)
    kv_locate(kv::kv ${kv_shared_name})
    set_target_properties(kv::kv PROPERTIES IMPORTED_SONAME ${kv_soname})
    foreach(config IN LISTS CMAKE_CONFIGURATION_TYPES)
        string(TOUPPER "${config}" suffix)
        set_target_properties(kv::kv PROPERTIES IMPORTED_SONAME_${suffix} ${kv_soname})
    endforeach()
else()
    # Programs say kv::kv, whichever library there is.
    add_library(kv::kv INTERFACE IMPORTED GLOBAL)
    target_link_libraries(kv::kv INTERFACE kv::static)
endif()
