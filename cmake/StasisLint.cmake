# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The lint presets: clang-tidy while compiling, clang-format as a check (target `lint`). Tests are
# analyzed by lint-full only (tests/.clang-tidy).
option(STASIS_LINT "Run clang-tidy with the build and add the target lint" OFF)
option(STASIS_LINT_FULL "With the static analyzer for the tests, too" OFF)
if(STASIS_LINT)
    find_program(CLANG_TIDY clang-tidy REQUIRED)
    find_program(CLANG_FORMAT clang-format REQUIRED)
    set(CMAKE_C_CLANG_TIDY "${CLANG_TIDY};--quiet;--warnings-as-errors=*")
    if(STASIS_LINT_FULL)
        list(APPEND CMAKE_C_CLANG_TIDY "--config-file=${CMAKE_SOURCE_DIR}/.clang-tidy")
    endif()
    file(GLOB_RECURSE stasis_format_files CONFIGURE_DEPENDS
        common/*.[ch] core/*.[ch] state/*.[ch] state-ser/*.[ch] vmm/*.[ch] tools/*.[ch] tests/*.[ch] examples/*.[ch])
    add_custom_target(lint
        COMMAND ${CLANG_FORMAT} --dry-run --Werror ${stasis_format_files}
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)
endif()
