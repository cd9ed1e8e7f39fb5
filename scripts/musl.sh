# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash
# What the preset musl links, in .cache/musl: headers of Linux, and static libraries that need no
# glibc; and their licences, which go with the programs. Sourced after lib.sh.
#
# Debian's archives of libdeflate, zlib (but for its gz functions) and libcrypto (SHA-256 of it) link
# with musl. Those of jansson and msgpack-c call glibc's __snprintf_chk() and others, and cmocka has
# none: these are built from Debian's sources.
readonly PACKAGES_MUSL=(gcc musl-tools libc6-dev linux-libc-dev libdeflate-dev libssl-dev zlib1g-dev libmsgpack-dev
    pkg-config scdoc xz-utils)
readonly CMOCKA_SOURCE=pool/main/c/cmocka/cmocka_1.1.5.orig.tar.xz
readonly CMOCKA_SHA256=f0ccd8242d55e2fd74b16ba518359151f6f8383ff8aef4976e48393f77bba8b6
readonly JANSSON_SOURCE=pool/main/j/jansson/jansson_2.14.orig.tar.gz
readonly JANSSON_SHA256=c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b
readonly MSGPACK_SOURCE=pool/main/m/msgpack-c/msgpack-c_4.0.0.orig.tar.gz
readonly MSGPACK_SHA256=420fe35e7572f2a168d17e660ef981a589c9cbe77faa25eb34a520e1fcc032c8

# fetch_musl: fills .cache/musl, once.
fetch_musl() (
    local stamp folder=$STASIS_CACHE/musl work=$STASIS_CACHE/musl.part
    # Made anew with other packages, or by another version of this file.
    stamp=$(dpkg-query -W "${PACKAGES_MUSL[@]}" && cat "${BASH_SOURCE[0]}")
    [ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || return 0
    say "collecting static libraries for musl"
    rm -rf "$work" && mkdir -p "$work"/{include,lib/pkgconfig,licences}
    cd "$work" || exit
    ln -s /usr/include/{linux,asm-generic,video,libdeflate.h,zlib.h,zconf.h,msgpack.h,msgpack} include/
    ln -s /usr/include/x86_64-linux-gnu/asm include/
    mkdir include/openssl
    ln -s /usr/include/openssl/* /usr/include/x86_64-linux-gnu/openssl/* include/openssl/
    ln -s /usr/lib/x86_64-linux-gnu/lib{crypto,deflate,z}.a lib/
    cp /usr/share/doc/musl-dev/copyright licences/musl
    cp /usr/share/doc/libdeflate-dev/copyright licences/libdeflate
    cp /usr/share/doc/libssl-dev/copyright licences/libcrypto
    cp /usr/share/doc/gcc-12-base/copyright licences/libgcc
    musl_module libcrypto crypto
    musl_module libdeflate deflate
    musl_cmocka
    musl_jansson
    musl_msgpack
    printf '%s\n' "$stamp" >stamp
    rm -rf "$folder" && mv "$work" "$folder"
)

# musl_module NAME LIBRARY [VERSION]: what pkg-config says of a library, with the folders of the cache.
musl_module() {
    cat >"lib/pkgconfig/$1.pc" <<TEXT
Name: $1
Description: static, for musl
Version: ${3:-$(pkg-config --modversion "$1")}
Cflags: -I$STASIS_CACHE/musl/include
Libs: -L$STASIS_CACHE/musl/lib -l$2
TEXT
}

# musl_source PATH SHA256: unpacks a source archive of Debian's pool into a folder `source`.
musl_source() {
    local site
    # shellcheck disable=SC2016
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
    [ -n "$site" ] || die "$STATUS_HOST" "apt has no archive of Debian 12: add it to its sources"
    say "downloading ${1##*/}"
    /usr/lib/apt/apt-helper -q=2 -o APT::Sandbox::User=root download-file \
        "$site/$1" archive "SHA256:$2" >&2 ||
        die "$STATUS_HOST" "could not download ${1##*/}"
    rm -rf source && mkdir source && tar -xf archive -C source --strip-components=1
}

# One file; these are the headers and functions of musl that it asks about.
musl_cmocka() {
    local have
    have=(-DHAVE_{INTTYPES_H,MALLOC_H,SETJMP_H,SIGNAL_H,STDINT_H,STRINGS_H,TIME_H,UNISTD_H}
        -DHAVE_{CLOCK_REALTIME,GCC_THREAD_LOCAL_STORAGE,SIGLONGJMP,STRSIGNAL,STRUCT_TIMESPEC})
    musl_source "$CMOCKA_SOURCE" "$CMOCKA_SHA256"
    cp source/include/cmocka.h include/
    musl_archive cmocka -Isource/include "${have[@]}"
    musl_module cmocka cmocka 1.1.5
}

musl_jansson() {
    local have
    have=(-DHAVE_{ATOMIC_BUILTINS,CLOSE,ENDIAN_H,FCNTL_H,GETPID,GETTIMEOFDAY,OPEN,READ,SCHED_H,SCHED_YIELD}
        -DHAVE_{STDINT_H,SYS_PARAM_H,SYS_STAT_H,SYS_TIME_H,SYS_TYPES_H,UNISTD_H}
        -DUSE_URANDOM -DINITIAL_HASHTABLE_ORDER=3)
    musl_source "$JANSSON_SOURCE" "$JANSSON_SHA256"
    sed -e 's/@json_inline@/inline/; s/@json_have_localeconv@/0/; s/@json_have_[a-z_]*@/1/' \
        source/src/jansson_config.h.in >include/jansson_config.h
    cp source/src/jansson.h include/
    cp source/LICENSE licences/jansson
    : >source/src/jansson_private_config.h # its content is in "have"
    musl_archive jansson -Iinclude "${have[@]}"
    musl_module jansson jansson 2.14
}

# With the headers of libmsgpack-dev.
musl_msgpack() {
    musl_source "$MSGPACK_SOURCE" "$MSGPACK_SHA256"
    cat source/{COPYING,LICENSE_1_0.txt} >licences/msgpack-c
    musl_archive msgpackc -Iinclude
    musl_module msgpack msgpackc
}

# musl_archive LIBRARY FLAG...: compiles source/src/*.c.
musl_archive() {
    local library=$1
    shift
    mkdir objects
    (cd objects && "${CC:-gcc}" -specs="$STASIS_ROOT/cmake/toolchains/musl.specs" -O2 -fPIC -c \
        "${@/#-I/-I../}" ../source/src/*.c) || die "$STATUS_FAILURE" "could not build $library"
    ar rcsD "lib/lib$library.a" objects/*.o
    rm -rf objects source archive
}
