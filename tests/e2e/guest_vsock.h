// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Sockets between the Linux guest of the end-to-end runs and its host (AF_VSOCK).
#ifndef STASIS_TESTS_GUEST_VSOCK_H
#define STASIS_TESTS_GUEST_VSOCK_H

// Answers each line that comes to port 52, in processes of its own, and has one connection to port
// 7 of the host, which is to stay open. Another process sends lines there and reads the answers
// without a pause, and connects again after a reset. NULL, or what has failed (errno says why).
const char *vsock_start(void);

// Has another connection to the host, and looks at the one that was to stay open: makes it anew if
// it was reset. NULL, or what is wrong.
const char *vsock_check(void);

// How often it was.
unsigned long vsock_resets(void);

// NULL, or what has gone wrong without a pause; and the lines that were answered there.
const char *vsock_talk_failed(void);
unsigned long vsock_lines(void);

#endif
