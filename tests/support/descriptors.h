/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether a program of tests has closed what it opened.
 */
#ifndef STASIS_TESTS_DESCRIPTORS_H
#define STASIS_TESTS_DESCRIPTORS_H

#include <dirent.h>
#include <stdio.h>

/* How many descriptors are open, that of the list included. */
static inline int descriptors_open(void)
{
    DIR *list = opendir("/proc/self/fd");
    int count = 0;

    while (list && readdir(list))
        count++;
    if (list)
        (void)closedir(list);
    return count;
}

/* The exit status of a program: how many tests have failed, or 1 if there are others than before.
 */
static inline int descriptors_kept(int before, int failed)
{
    const int left = descriptors_open() - before;

    if (left)
        (void)fprintf(stderr, "%d descriptors were left open\n", left);
    return failed ? failed : left != 0;
}

#endif
