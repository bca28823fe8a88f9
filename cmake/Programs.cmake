# How the examples and the tests are built and run: strictly, each in an empty directory of its own.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_program(KV_VALGRIND valgrind)
if(NOT KV_VALGRIND)
    message(NOTICE "valgrind was not found: nothing is run under it")
endif()

# kv_add_program(name library source...): builds a program as C11 or C++17, without extensions.
function(kv_add_program name library)
    add_executable(${name} ${ARGN})
    target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Werror)
    target_link_libraries(${name} PRIVATE ${library} Threads::Threads)
    set_target_properties(${name} PROPERTIES
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
        CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
        # kv.h must be free of warnings too; the headers of imported libraries are not looked at.
        NO_SYSTEM_FROM_IMPORTED ON)
endfunction()

# kv_add_cpp_program(name standard source...): the same for programs that use kv.hpp, where every
# warning counts that a user may have turned on.
function(kv_add_cpp_program name standard)
    kv_add_program(${name} kv::kv ${ARGN})
    target_compile_options(${name} PRIVATE -Wconversion -Wsign-conversion -Wshadow -Weffc++ -Wundef)
    set_target_properties(${name} PROPERTIES CXX_STANDARD ${standard})
endfunction()

# kv_add_run(test seconds command...): a test that runs a command in an empty directory.
function(kv_add_run test seconds)
    set(directory "${PROJECT_BINARY_DIR}/runs/${test}")
    add_test(NAME ${test} COMMAND "${CMAKE_COMMAND}" "-DDIRECTORY=${directory}"
        -P "${PROJECT_SOURCE_DIR}/cmake/RunInEmptyDirectory.cmake" -- ${ARGN})
    # Symbolising a backtrace takes valgrind a minute; a debugger shows more.
    set_tests_properties(${test} PROPERTIES
        TIMEOUT ${seconds} ENVIRONMENT "TMPDIR=${directory};RUST_BACKTRACE=0")
endfunction()

# kv_add_valgrind_run(test leaks command...): the same under valgrind, where there is one. `leaks`
# is full or no: a child of fork() that has a database open lacks the threads of its parent, so that
# valgrind takes what they own for lost, after a long search of the mapped segment. One thread runs
# at a time: without fairness those that read without a lock leave no turn to those that write.
function(kv_add_valgrind_run test leaks)
    if(KV_VALGRIND)
        kv_add_run(${test}.valgrind 600
            "${KV_VALGRIND}" --quiet --fair-sched=try --error-exitcode=99
            --leak-check=${leaks} ${ARGN})
        set_tests_properties(${test}.valgrind PROPERTIES LABELS valgrind)
    endif()
endfunction()

# kv_find_openmetrics_parser(variable): the Python that has prometheus_client; empty if none has.
# That of Debian's package is the system's, which need not be the first one in the path.
function(kv_find_openmetrics_parser variable)
    set(${variable} "" PARENT_SCOPE)
    foreach(python IN ITEMS python3 /usr/bin/python3)
        execute_process(COMMAND "${python}" -c "import prometheus_client.openmetrics.parser"
            RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
        if(result EQUAL 0)
            set(${variable} "${python}" PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(NOTICE "prometheus_client for Python was not found: the text of kv_metrics() is not "
        "read by its parser")
endfunction()
