# Installs the build, moves the tree elsewhere, and looks at what is in it; also through DESTDIR.
include("${CMAKE_CURRENT_LIST_DIR}/Common.cmake")

file(REMOVE_RECURSE "${SCRATCH}/first" "${SCRATCH}/moved" "${SCRATCH}/staged")
run("${CMAKE_COMMAND}" --install "${BUILD}" --config "${CONFIG}" --prefix "${SCRATCH}/first")
file(RENAME "${SCRATCH}/first" "${SCRATCH}/moved")
check_tree("${SCRATCH}/moved" "${LIBDIR}")

run("${CMAKE_COMMAND}" -E env "DESTDIR=${SCRATCH}/staged"
    "${CMAKE_COMMAND}" --install "${BUILD}" --config "${CONFIG}" --prefix /usr)
check_tree("${SCRATCH}/staged/usr" "${LIBDIR}")
