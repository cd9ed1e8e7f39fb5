# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The lint presets: the target lint runs clang-tidy, which says clang's own warnings as well, and
# clang-format as a check. Nothing is compiled for it. Tests are analyzed by lint-full only
# (tests/.clang-tidy), and other code further by it.
option(STASIS_LINT "Add the target lint" OFF)
option(STASIS_LINT_FULL "With the static analyzer for the tests, too" OFF)
if(STASIS_LINT)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    find_program(CLANG_TIDY clang-tidy REQUIRED)
    find_program(CLANG_FORMAT clang-format REQUIRED)
    set(stasis_tidy ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/cmake/tidy.py ${CLANG_TIDY}
        ${CMAKE_BINARY_DIR} --quiet --warnings-as-errors=*)
    # Where the analyzer gives up a function. Its own bound is 225000, with which a few functions take most
    # of the time of linting; lint-full keeps that.
    if(STASIS_LINT_FULL)
        list(APPEND stasis_tidy "--config-file=${CMAKE_SOURCE_DIR}/.clang-tidy")
    else()
        foreach(word -Xclang -analyzer-config -Xclang max-nodes=20000)
            list(APPEND stasis_tidy --extra-arg=${word})
        endforeach()
    endif()
    file(GLOB_RECURSE stasis_format_files CONFIGURE_DEPENDS
        base/*.[ch] common/*.[ch] core/*.[ch] state/*.[ch] state-ser/*.[ch] vmm/*.[ch] tools/*.[ch] tests/*.[ch] examples/*.[ch])
    add_custom_target(lint
        COMMAND ${CLANG_FORMAT} --dry-run --Werror ${stasis_format_files}
        COMMAND ${stasis_tidy}
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} COMMENT "Reading every file" USES_TERMINAL VERBATIM)
endif()
