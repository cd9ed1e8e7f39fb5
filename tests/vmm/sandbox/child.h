/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is given up for good is given up by a child of the test.
 */
#ifndef STASIS_TESTS_VMM_SANDBOX_CHILD_H
#define STASIS_TESTS_VMM_SANDBOX_CHILD_H

/* Runs the body in a child; its result (0..100) is returned, 128 + N for a signal. */
int in_child(int (*body)(void *arg), void *arg);

/* Lets this system call fail with `error` from now on, as on a kernel that lacks it. */
void lacks_call(int number, int error);

/* The note of why cmocka says that a case is left out. */
#define CHILD_SKIPS 100

#endif
