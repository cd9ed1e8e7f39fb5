# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Seconds after which ctest ends a test that hangs, on the busiest of hosts; no test decides by it.
set(stasis_deadline 1500)

# stasis_add_test(NAME LABEL unit|kvm|e2e SOURCES file... [LIBRARIES target...])
# One cmocka program per test_<file>.c. A program that exits with 77 counts as skipped.
# The label `once` besides is for what a sanitizer adds nothing to: scripts/test runs it in the preset
# release only.
function(stasis_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL" "SOURCES;LIBRARIES")
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE stasis_flags stasis_test_support ${arg_LIBRARIES})
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:stasis_test_messages>)
    target_link_options(${name} PRIVATE LINKER:--wrap=stasis_fail,--wrap=stasis_fail_errno)
    target_link_libraries(${name} PRIVATE stasis_state)
    add_test(NAME ${name} COMMAND ${name})
    if(arg_LABEL STREQUAL "unit")
        set_property(GLOBAL APPEND PROPERTY STASIS_UNIT_TESTS ${name})
    endif()
    if(arg_LABEL STREQUAL "kvm")
        set_property(GLOBAL APPEND PROPERTY STASIS_KVM_TESTS ${name})
    endif()
    set_tests_properties(${name} PROPERTIES
        LABELS ${arg_LABEL} SKIP_RETURN_CODE 77 TIMEOUT ${stasis_deadline})
endfunction()
