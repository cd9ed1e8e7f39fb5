# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Everything we link that is not ours. docs/architecture.md gives each one's reason.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
# Upstream renamed the package from msgpack to msgpack-c after the release that Debian 12 has.
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
# SHA-256 alone of it: from the archive, since a program that loads all of the shared library starts a
# millisecond later.
pkg_check_modules(LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
list(GET LIBCRYPTO_LINK_LIBRARIES 0 stasis_libcrypto)
get_filename_component(stasis_libcrypto "${stasis_libcrypto}" DIRECTORY)
if(EXISTS "${stasis_libcrypto}/libcrypto.a")
    set_target_properties(PkgConfig::LIBCRYPTO PROPERTIES
        INTERFACE_LINK_LIBRARIES "${stasis_libcrypto}/libcrypto.a")
endif()
if(STASIS_VMM AND STASIS_JSON)
    pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
endif()
# A program of the build links it, and nothing else: by the build machine's own compiler.
if(STASIS_VMM AND STASIS_SANDBOX)
    find_program(STASIS_BUILD_CC NAMES cc gcc clang REQUIRED)
    mark_as_advanced(STASIS_BUILD_CC)
    execute_process(COMMAND "${STASIS_BUILD_CC}" -E -include seccomp.h -x c /dev/null
        OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE stasis_no_seccomp)
    if(stasis_no_seccomp)
        message(FATAL_ERROR "libseccomp (libseccomp-dev), of which the build makes the sandbox's filters, is missing: install it, or configure with -DSTASIS_SANDBOX=OFF")
    endif()
endif()
if(BUILD_TESTING)
    find_package(ZLIB REQUIRED)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()
