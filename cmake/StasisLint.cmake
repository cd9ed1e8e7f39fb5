# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The lint preset: clang-tidy while compiling, clang-format as a check (target `lint`).
option(STASIS_LINT "Run clang-tidy with the build and add the target lint" OFF)
if(STASIS_LINT)
    find_program(CLANG_TIDY clang-tidy REQUIRED)
    find_program(CLANG_FORMAT clang-format REQUIRED)
    set(CMAKE_C_CLANG_TIDY "${CLANG_TIDY};--quiet;--warnings-as-errors=*")
    file(GLOB_RECURSE stasis_format_files CONFIGURE_DEPENDS
        common/*.[ch] core/*.[ch] state/*.[ch] state-ser/*.[ch] vmm/*.[ch] tools/*.[ch] tests/*.[ch] examples/*.[ch])
    add_custom_target(lint
        COMMAND ${CLANG_FORMAT} --dry-run --Werror ${stasis_format_files}
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)
endif()
