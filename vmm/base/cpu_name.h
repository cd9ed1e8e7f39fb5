/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The name of the host's CPU.
 */
#ifndef STASIS_VMM_CPU_NAME_H
#define STASIS_VMM_CPU_NAME_H

#include <stddef.h>

/* As /proc/cpuinfo shows it, which is open as `fd` or (0) is opened; cut to size - 1 bytes. `to` is
 * left alone where it cannot be read. */
void stasis_host_cpu_name(int fd, char *to, size_t size);

#endif
