# The command line: kv, with its manual pages and completions, which it makes itself.
set(kv_tool "${KV_CARGO_TARGET_DIR}/cli")
if(KV_CARGO_TARGET)
    set(kv_tool "${kv_tool}/${KV_CARGO_TARGET}")
endif()
set(kv_tool "${kv_tool}/release/kv")
set(kv_tool_files "${PROJECT_BINARY_DIR}/tools")

add_custom_target(kv_tools ALL
    COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${KV_CARGO_TARGET_DIR}/cli"
        "${KV_CARGO}" build --release ${kv_target_flags} ${KV_CARGO_FLAGS}
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${kv_tool_files}/man"
    COMMAND "${kv_tool}" man --directory "${kv_tool_files}/man"
    COMMAND "${kv_tool}" completions bash > "${kv_tool_files}/kv"
    COMMAND "${kv_tool}" completions zsh > "${kv_tool_files}/_kv"
    COMMAND "${kv_tool}" completions fish > "${kv_tool_files}/kv.fish"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}/cli"
    BYPRODUCTS "${kv_tool}"
    COMMENT "Building kv ${PROJECT_VERSION} with cargo"
    COMMAND_EXPAND_LISTS USES_TERMINAL VERBATIM)

if(KV_INSTALL)
    install(PROGRAMS "${kv_tool}" DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
    install(DIRECTORY "${kv_tool_files}/man/"
        DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
    install(FILES "${kv_tool_files}/kv"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" COMPONENT tools)
    install(FILES "${kv_tool_files}/_kv"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" COMPONENT tools)
    install(FILES "${kv_tool_files}/kv.fish"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" COMPONENT tools)
    install(CODE "if(CMAKE_INSTALL_DO_STRIP)
        execute_process(COMMAND \"${CMAKE_STRIP}\"
            \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/kv\")
    endif()" COMPONENT tools)
endif()
