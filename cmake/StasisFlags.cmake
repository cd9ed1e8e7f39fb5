# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# One INTERFACE target, stasis_flags, holds every flag; nothing else sets any.
option(STASIS_WERROR "Turn warnings into errors" OFF)
option(STASIS_COVERAGE "Count what runs, for gcov" OFF)
option(STASIS_FUZZ "Link the fuzz targets with libFuzzer" OFF)
set(STASIS_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # KVM's UAPI headers need GNU C
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)

add_library(stasis_flags INTERFACE)
target_include_directories(stasis_flags INTERFACE "${PROJECT_BINARY_DIR}/options")
target_compile_definitions(stasis_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
set(stasis_warnings
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wformat=2
    -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wnull-dereference -Wswitch-enum
    -Wno-missing-field-initializers)
if(STASIS_MUSL) # its ioctl() has a request of type int, in which the kernel's numbers do not fit
    list(APPEND stasis_warnings -Wno-overflow -Wno-conversion -Wno-sign-conversion)
endif()
if(STASIS_WERROR)
    list(APPEND stasis_warnings -Werror)
endif()
target_compile_options(stasis_flags INTERFACE "$<$<COMPILE_LANGUAGE:C>:${stasis_warnings}>")

if(CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$")
    target_compile_options(stasis_flags INTERFACE
        "$<$<COMPILE_LANGUAGE:C>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3;-fstack-protector-strong>")
    target_link_options(stasis_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
target_link_options(stasis_flags INTERFACE -Wl,-z,noexecstack)

# What scripts/tarball packs names no folder of the machine that built it. Elsewhere debuggers and gcov
# look for the sources by their full names.
if(STASIS_MUSL)
    target_compile_options(stasis_flags INTERFACE "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")
endif()

if(STASIS_COVERAGE)
    target_compile_options(stasis_flags INTERFACE --coverage)
    target_link_options(stasis_flags INTERFACE --coverage)
endif()

# A sanitizer's report needs lines, not variables: without those a program links in two thirds of the time.
if(STASIS_SANITIZE)
    target_compile_options(stasis_flags INTERFACE -g1
        -fsanitize=${STASIS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(stasis_flags INTERFACE -fsanitize=${STASIS_SANITIZE})
    # It takes no account of fences, and gcc says so; ours are for guests, of which it sees nothing.
    if(STASIS_SANITIZE MATCHES thread)
        target_compile_options(stasis_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-tsan>)
    endif()
endif()
