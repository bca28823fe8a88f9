# Runs the command after "--" in DIRECTORY, emptied before, and fails when the command does.
file(REMOVE_RECURSE "${DIRECTORY}")
file(MAKE_DIRECTORY "${DIRECTORY}")

set(command "")
set(is_command OFF)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(number RANGE ${last})
    if(is_command)
        list(APPEND command "${CMAKE_ARGV${number}}")
    elseif(CMAKE_ARGV${number} STREQUAL "--")
        set(is_command ON)
    endif()
endforeach()

execute_process(COMMAND ${command} WORKING_DIRECTORY "${DIRECTORY}" RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "ended with: ${result}\nin: ${DIRECTORY}")
endif()
