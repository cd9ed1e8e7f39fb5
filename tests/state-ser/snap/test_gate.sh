#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# test_gate.sh SOURCE_DIR: nothing but the gate (state-ser/snap/output*.c) opens, makes or renames a
# file that is written to. Comments do not count. What else there is, and why:
#   snap/io.c        the system calls of the engine, called by those below
#   snap/ram_io.c    /dev/userfaultfd
#   kvm/kvm.c        /dev/kvm, at whatever path
#   nowait.c opens a descriptor that was given once more, to have flags of its own
#   host/socket.c    the name of a socket
#   host/tap.c       /dev/net/tun
#   X->open()        an operation of a table
#   sandbox/root.c   /proc/self/uid_map, which maps a user's number in a namespace
#   sandbox/make_filters.c runs when Stasis is built
#   sandbox/maker_files.c the same for the gate, in a process of its own
#   common/streams.c /dev/null in place of closed standard streams
set -eu
cd "$1"

calls='\<(open|openat|openat2|creat|fopen|freopen|fdopen|mkstemp|mkostemp|tmpfile|mkfifo|mkfifoat|mknod|rename|renameat|renameat2|link|linkat|symlink)[[:space:]]*\('
engine='\<stasis_io_(link|rename|mkfifo)\(|O_CREAT|O_TMPFILE|O_TRUNC|O_WRONLY'
failed=0

# look PATTERN EXCEPTION FILE...: lines of code that match
look() {
    pattern=$1 exception=$2
    shift 2
    grep -nE "$pattern" "$@" /dev/null | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/\*|\*|//)' |
        grep -vE "$exception" || true
}

files=$(find base common core state state-ser tools vmm -name '*.[ch]' | sort)
# Opening to read is the business of whoever reads; O_PATH opens for neither.
# shellcheck disable=SC2086 # names of our own, without spaces
found=$(look "$calls" 'O_RDONLY|O_PATH|"re?"|/dev/(kvm|net/tun|userfaultfd|null)|/proc/self/uid_map|->open\(|^state-ser/snap/io\.c:|^vmm/sandbox/(make_filters\.c:.*tmpfile|maker_files\.c:)|^vmm/kvm/kvm\.c:.*open\(path, O_RDWR|^vmm/host/nowait\.c:.*open\(name, O_WRONLY' $files)
# shellcheck disable=SC2086
found2=$(look "$engine" '^(state-ser/snap/(io\.[ch]|output[a-z_]*\.[ch])|vmm/sandbox/(maker_files|make_filters)\.c):|/dev/null|/proc/self/uid_map|^common/streams\.c:.*contrary = |^vmm/host/nowait\.c:.*open\(name, O_WRONLY' $files)
for lines in "$found" "$found2"; do
    if [ -n "$lines" ]; then
        echo "$lines"
        failed=1
    fi
done
if [ $failed = 1 ]; then
    echo "These lines open or make a file for writing. Use stasis_output_open() (stasis/output.h)."
    exit 1
fi

# The search itself finds what it is to find.
trap 'rm -f "$probe"' EXIT
probe=$(mktemp)
printf '    fd = open(path, O_RDWR);\n    f = fopen(path, "w");\n    rename(a, b);\n    f = tmpfile();\n' >"$probe"
[ "$(look "$calls" 'O_RDONLY|"re?"' "$probe" | wc -l)" = 4 ]
