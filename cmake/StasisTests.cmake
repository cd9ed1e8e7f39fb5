# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Seconds after which ctest ends a test that hangs, on the busiest of hosts; no test decides by it.
set(stasis_deadline 1500)

# With musl a static program's --wrap reaches the C library's own calls, too: a test that counts or
# refuses all allocations would meet those. And there is no backtrace().
set(stasis_not_with_musl test_output_walk test_ser_memory test_snap_crash_faults test_snap_crash_open
    test_snap_overlay_memory)

# stasis_wrap_64(TEST FUNCTION...): wraps functions of files that glibc has by names with 64 where offsets
# have 64 bits. musl has one name for both.
function(stasis_wrap_64 name)
    foreach(function ${ARGN})
        target_link_options(${name} PRIVATE LINKER:--wrap=${function}64)
        if(STASIS_MUSL)
            target_link_options(${name} PRIVATE
                LINKER:--wrap=${function},--defsym=__wrap_${function}=__wrap_${function}64)
        endif()
    endforeach()
endfunction()

# stasis_add_test(NAME LABEL unit|kvm|e2e SOURCES file... [LIBRARIES target...])
# One cmocka program per test_<file>.c. A program that exits with 77 counts as skipped.
# The label `once` besides is for what a sanitizer adds nothing to: scripts/test runs it in the preset
# release only. The label `long` is for what takes long and calls little of the C library: not with musl.
function(stasis_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL" "SOURCES;LIBRARIES")
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE stasis_flags stasis_test_support ${arg_LIBRARIES})
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:stasis_test_messages>)
    target_link_options(${name} PRIVATE LINKER:--wrap=stasis_fail,--wrap=stasis_fail_errno)
    target_link_libraries(${name} PRIVATE stasis_state)
    if(STASIS_MUSL AND name IN_LIST stasis_not_with_musl)
        set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
        add_test(NAME ${name} COMMAND sh -c "echo 'skipped: not with musl'; exit 77")
    else()
        add_test(NAME ${name} COMMAND ${name})
    endif()
    if(arg_LABEL STREQUAL "unit")
        set_property(GLOBAL APPEND PROPERTY STASIS_UNIT_TESTS ${name})
    endif()
    if(arg_LABEL STREQUAL "kvm")
        set_property(GLOBAL APPEND PROPERTY STASIS_KVM_TESTS ${name})
    endif()
    set_tests_properties(${name} PROPERTIES
        LABELS ${arg_LABEL} SKIP_RETURN_CODE 77 TIMEOUT ${stasis_deadline})
endfunction()
