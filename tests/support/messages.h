/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Notes for tests/messages, which compares the messages in the sources with those that tests
 * provoke. What a test provokes in its own process is noted by itself (messages.c).
 */
#ifndef STASIS_TESTS_MESSAGES_H
#define STASIS_TESTS_MESSAGES_H

/* The lines that a program under test has printed on standard error. */
void messages_note_lines(const char *text);

/* This process notes nothing any more: it is about to be confined (--sandbox). */
void messages_stop(void);

#endif
