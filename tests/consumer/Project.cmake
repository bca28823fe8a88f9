# Builds the project of this directory and runs its tests, with the libkv installed in USE, or with
# one that is part of the project: USE=source by add_subdirectory, USE=fetched by FetchContent.
include("${CMAKE_CURRENT_LIST_DIR}/Common.cmake")

if(USE STREQUAL "source")
    set(build "${SCRATCH}/add_subdirectory")
    set(libkv "-DKV_SOURCE=${SOURCE}")
elseif(USE STREQUAL "fetched")
    set(build "${SCRATCH}/fetch_content")
    set(libkv "-DKV_FETCHED=${SOURCE}")
else()
    set(build "${SCRATCH}/find_package")
    set(libkv "-DCMAKE_PREFIX_PATH=${USE}")
endif()
file(REMOVE_RECURSE "${build}")
configure("${CMAKE_CURRENT_LIST_DIR}" "${build}" "${libkv}")
run("${CMAKE_COMMAND}" --build "${build}" --config "${CONFIG}")
get_filename_component(tools "${CMAKE_COMMAND}" DIRECTORY)
run("${CMAKE_COMMAND}" -E chdir "${build}"
    "${tools}/ctest" --build-config "${CONFIG}" --output-on-failure)
