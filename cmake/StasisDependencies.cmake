# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Everything we link that is not ours. docs/architecture.md gives each one's reason.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
# Upstream renamed the package from msgpack to msgpack-c after the release that Debian 12 has.
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
if(STASIS_VMM AND STASIS_JSON)
    pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
endif()
if(BUILD_TESTING)
    find_package(ZLIB REQUIRED)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()
