/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What stands for the process's own id in a filter that was made by the build.
 */
#ifndef STASIS_VMM_SANDBOX_FILTER_PID_H
#define STASIS_VMM_SANDBOX_FILTER_PID_H

#define STASIS_FILTER_PID 0x5f706964u /* above the ids that Linux gives (4,194,304) */

/* Instructions of a filter. */
#define STASIS_FILTER_MAX 512

#endif
