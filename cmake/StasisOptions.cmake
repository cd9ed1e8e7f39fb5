# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Every part that a build can leave out, one row each; README.md has the same table, which
# tests/options compares. CMake's own BUILD_TESTING leaves out the tests.
#
# stasis_part(NAME DEFAULT TEXT): the option STASIS_<NAME>. C files see it as STASIS_WITH_<NAME>, 0 or 1, in
# <stasis_options.h>. What a user asks for and this build lacks is refused by stasis_fail_absent().
function(stasis_part name default text)
    option(STASIS_${name} "${text}" ${default})
    if(STASIS_${name})
        set(with 1)
    else()
        set(with 0)
        set_property(GLOBAL APPEND PROPERTY STASIS_LEFT_OUT STASIS_${name})
    endif()
    set_property(GLOBAL APPEND PROPERTY STASIS_PARTS "#define STASIS_WITH_${name} ${with}")
endfunction()

find_program(STASIS_SCDOC scdoc)
mark_as_advanced(STASIS_SCDOC)
set(stasis_has_scdoc OFF)
if(STASIS_SCDOC)
    set(stasis_has_scdoc ON)
endif()
set(stasis_is_x86_64 OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    set(stasis_is_x86_64 ON)
endif()

# Sanitizers and gcov make system calls of their own, and write files of their own.
set(stasis_can_sandbox ON)
if(STASIS_SANITIZE OR STASIS_COVERAGE)
    set(stasis_can_sandbox OFF)
endif()

stasis_part(VMM ${stasis_is_x86_64} "The program vmm and the libraries stasis-kvm and stasis-vmm")
stasis_part(DEMO ON "The guest that is built into vmm (--demo)")
stasis_part(JSON ON "What reads JSON of others, by jansson: the control socket (--control, vmm ctl), files of options (--config)")
stasis_part(SANDBOX ${stasis_can_sandbox} "The sandbox of vmm (--sandbox)")
stasis_part(TOOLS ON "The program snapshot-inspect")
stasis_part(PYTHON ON "The Python module stasis")
stasis_part(SHARED ON "Shared libraries beside the static ones")
stasis_part(MANUALS ${stasis_has_scdoc} "Manual pages, made by scdoc")

if(STASIS_VMM AND NOT stasis_is_x86_64)
    message(FATAL_ERROR "vmm runs on x86-64 only, and this is ${CMAKE_SYSTEM_PROCESSOR}: configure with -DSTASIS_VMM=OFF")
endif()
if(STASIS_MANUALS AND NOT STASIS_SCDOC)
    message(FATAL_ERROR "scdoc, which makes the manual pages, is missing: install it, or configure with -DSTASIS_MANUALS=OFF")
endif()

# README.md has a table of what musl lacks.
if(STASIS_MUSL AND STASIS_SHARED)
    message(FATAL_ERROR "programs with musl are static and link no shared library: configure with -DSTASIS_SHARED=OFF")
endif()
if(STASIS_MUSL AND STASIS_SANITIZE)
    message(FATAL_ERROR "musl has no sanitizers: leave out STASIS_SANITIZE, or use the preset asan-ubsan")
endif()

get_property(stasis_parts GLOBAL PROPERTY STASIS_PARTS)
get_property(stasis_left_out GLOBAL PROPERTY STASIS_LEFT_OUT)
list(JOIN stasis_parts "\n" stasis_parts)
list(JOIN stasis_left_out " " stasis_left_out)
configure_file("${CMAKE_CURRENT_LIST_DIR}/stasis_options.h.in" "${PROJECT_BINARY_DIR}/options/stasis_options.h" @ONLY)
