# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Static programs with musl, for this machine (x86-64). Libraries are in .cache/musl (scripts/musl.sh puts them
# there). CMAKE_SYSTEM_NAME is not set: what is built runs here.
set(CMAKE_C_COMPILER gcc)
set(STASIS_MUSL ON)

set(stasis_musl ${CMAKE_CURRENT_LIST_DIR}/../../.cache/musl)
get_filename_component(stasis_musl ${stasis_musl} ABSOLUTE)
set(ENV{PKG_CONFIG_LIBDIR} ${stasis_musl}/lib/pkgconfig)
set(ZLIB_LIBRARY ${stasis_musl}/lib/libz.a CACHE FILEPATH "")
set(ZLIB_INCLUDE_DIR ${stasis_musl}/include CACHE PATH "")
set(CMAKE_FIND_LIBRARY_SUFFIXES .a)

set(CMAKE_C_FLAGS_INIT "-specs=${CMAKE_CURRENT_LIST_DIR}/musl.specs -isystem ${stasis_musl}/include")
set(CMAKE_ASM_FLAGS_INIT "${CMAKE_C_FLAGS_INIT}")
