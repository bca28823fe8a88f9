# The command line: kv, with its manual pages and completions, which it makes itself.
set(kv_tool_environment ${kv_cargo_environment})
list(FILTER kv_tool_environment EXCLUDE REGEX "^CARGO_TARGET_DIR=")
# A directory of its own: what the two packages need of a crate differs.
list(APPEND kv_tool_environment "CARGO_TARGET_DIR=${KV_CARGO_TARGET_DIR}/cli")
set(kv_tool "${KV_CARGO_TARGET_DIR}/cli")
if(KV_CARGO_TARGET)
    set(kv_tool "${kv_tool}/${KV_CARGO_TARGET}")
endif()
set(kv_tool "${kv_tool}/release/kv")
set(kv_tool_files "${PROJECT_BINARY_DIR}/tools")

# What was built for another machine may not run on this one.
set(kv_tool_documents ON)
if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
    set(kv_tool_documents OFF)
    message(NOTICE "kv cannot run here (CMAKE_CROSSCOMPILING_EMULATOR is not set): "
        "its manual pages and completions are left out")
endif()
set(kv_tool_makes "")
if(kv_tool_documents)
    set(kv_run_tool ${CMAKE_CROSSCOMPILING_EMULATOR} "${kv_tool}")
    set(kv_tool_makes
        COMMAND "${CMAKE_COMMAND}" -E make_directory "${kv_tool_files}/man"
        COMMAND ${kv_run_tool} man "${kv_tool_files}/man"
        COMMAND ${kv_run_tool} completions bash > "${kv_tool_files}/kv"
        COMMAND ${kv_run_tool} completions zsh > "${kv_tool_files}/_kv"
        COMMAND ${kv_run_tool} completions fish > "${kv_tool_files}/kv.fish")
endif()

add_custom_target(kv_tools ALL
    COMMAND "${CMAKE_COMMAND}" -E env ${kv_tool_environment}
        "${KV_CARGO}" build --release ${kv_target_flags} ${KV_CARGO_FLAGS}
    ${kv_tool_makes}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}/cli"
    BYPRODUCTS "${kv_tool}"
    COMMENT "Building kv ${PROJECT_VERSION} with cargo"
    COMMAND_EXPAND_LISTS USES_TERMINAL VERBATIM)

if(KV_INSTALL)
    install(PROGRAMS "${kv_tool}" DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
    kv_strip_installed("${CMAKE_INSTALL_BINDIR}" kv tools)
endif()
if(KV_INSTALL AND kv_tool_documents)
    install(DIRECTORY "${kv_tool_files}/man/"
        DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
    install(FILES "${kv_tool_files}/kv"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" COMPONENT tools)
    install(FILES "${kv_tool_files}/_kv"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" COMPONENT tools)
    install(FILES "${kv_tool_files}/kv.fish"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" COMPONENT tools)
endif()
