# The manual pages of section 3, one for each function: docs/manual makes them of include/kv.h.
set(kv_manual_pages "${PROJECT_BINARY_DIR}/man3")

# It runs here, whatever the library is built for.
add_custom_target(kv_manual ALL
    COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${KV_CARGO_TARGET_DIR}/manual"
        "${KV_CARGO}" run --quiet --release ${KV_CARGO_FLAGS}
        -- "${PROJECT_SOURCE_DIR}" "${kv_manual_pages}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}/docs/manual"
    COMMENT "Writing the manual pages of libkv ${PROJECT_VERSION}"
    COMMAND_EXPAND_LISTS USES_TERMINAL VERBATIM)

if(KV_INSTALL)
    install(DIRECTORY "${kv_manual_pages}/"
        DESTINATION "${CMAKE_INSTALL_MANDIR}/man3" COMPONENT development)
endif()
