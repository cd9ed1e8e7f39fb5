# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# fish completion of snapshot-inspect, which is asked what it can do.
complete -c snapshot-inspect -f -n __fish_is_first_arg -a "(snapshot-inspect help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')"
complete -c snapshot-inspect -n 'not __fish_is_first_arg; and string match -q -- "-*" (commandline -ct)' -a "(snapshot-inspect help (commandline -opc)[2] 2>/dev/null | sed -n 's/^  .*\(--[a-z-]*\).*/\1/p')"
