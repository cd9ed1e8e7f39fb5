# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154
# Installs everything, into an empty folder.
rm -rf "$prefix"
cmake --install "$build" --prefix "$prefix" >"$work/log" || fail "the installation"
say "installed $(grep -c '^-- Installing' "$work/log") files"
