# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# A big-endian machine: cross compiler, Debian's libraries in .cache/s390x (scripts/lib.sh puts them
# there), programs by qemu-user. For tests: nothing is released for it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(CMAKE_C_COMPILER s390x-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER_LAUNCHER "")

set(stasis_sysroot ${CMAKE_CURRENT_LIST_DIR}/../../.cache/s390x)
get_filename_component(stasis_sysroot ${stasis_sysroot} ABSOLUTE)
set(stasis_libraries ${stasis_sysroot}/usr/lib/s390x-linux-gnu)
set(ENV{PKG_CONFIG_LIBDIR} ${stasis_libraries}/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${stasis_sysroot})
set(ZLIB_LIBRARY ${stasis_libraries}/libz.a CACHE FILEPATH "")
set(ZLIB_INCLUDE_DIR ${stasis_sysroot}/usr/include CACHE PATH "")
set(CMAKE_C_FLAGS_INIT "-isystem ${stasis_sysroot}/usr/include/s390x-linux-gnu")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-L${stasis_libraries} -Wl,-rpath-link,${stasis_libraries}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-L${stasis_libraries}")

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-s390x-static -L /usr/s390x-linux-gnu
    -E LD_LIBRARY_PATH=${stasis_libraries}:${stasis_sysroot}/lib/s390x-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
