# Finds cargo and rustc, and asks rustc which system libraries its static libraries need.

find_program(KV_CARGO cargo PATHS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin")
find_program(KV_RUSTC rustc PATHS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin")
set(kv_rust_needed "libkv needs Rust ${kv_rust_version} or newer: see https://rustup.rs")
if(NOT KV_CARGO OR NOT KV_RUSTC)
    message(FATAL_ERROR "cargo or rustc was not found. ${kv_rust_needed}")
endif()

execute_process(
    COMMAND "${KV_RUSTC}" --version
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    OUTPUT_VARIABLE kv_rustc_says OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" kv_rustc_version "${kv_rustc_says}")
if(NOT kv_rustc_version OR kv_rustc_version VERSION_LESS kv_rust_version)
    message(FATAL_ERROR "${KV_RUSTC} is \"${kv_rustc_says}\". ${kv_rust_needed}")
endif()

set(kv_target_flags "")
if(KV_CARGO_TARGET)
    set(kv_target_flags --target "${KV_CARGO_TARGET}")
endif()

# Any static library tells what those of this rustc need, so an empty one does.
set(kv_probe "${PROJECT_BINARY_DIR}/native-libraries")
file(WRITE "${kv_probe}/empty.rs" "#![crate_type = \"staticlib\"]\n")
execute_process(
    COMMAND "${KV_RUSTC}" ${kv_target_flags} --print "native-static-libs=${kv_probe}/list"
            --out-dir "${kv_probe}" "${kv_probe}/empty.rs"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    RESULT_VARIABLE kv_probe_result ERROR_VARIABLE kv_probe_error)
if(NOT kv_probe_result EQUAL 0)
    message(FATAL_ERROR "rustc cannot build a static library:\n${kv_probe_error}")
endif()
file(READ "${kv_probe}/list" KV_NATIVE_LIBRARIES)
# The compiler adds its own runtime and that of C, as the kind of link wants them: named here, the
# shared ones would be asked for in a link that is static altogether.
string(REGEX REPLACE "(^| )-l(gcc_s|c)( |$)" "\\3" KV_NATIVE_LIBRARIES "${KV_NATIVE_LIBRARIES}")
string(STRIP "${KV_NATIVE_LIBRARIES}" KV_NATIVE_LIBRARIES)
