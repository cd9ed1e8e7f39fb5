/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Runs a use of the KVM library on a KVM that runs nothing (support/fake_kvm.h) once for each of
 * its calls, which fails: ioctls, the other system calls and allocations.
 */
#ifndef STASIS_TESTS_VMM_KVM_FAILING_H
#define STASIS_TESTS_VMM_KVM_FAILING_H

#include "support/cmocka_all.h"

#include "stasis/error.h"
#include "support/fake_kvm.h"

/* `use` is a use of the library from the opening of what it uses to its closing. It returns what
 * the library's calls returned, closes all that it opened in any case, and checks with
 * failing_unchanged() that no failed call changed what it was to fill.
 *
 * Every call of it fails once. That must be an error with a message, or, where a call only asks
 * what KVM has, success; and no descriptor and no
 * map stays open. */
void failing_run(int (*use)(struct stasis_error *err), unsigned flaws);

/* For outputs: filled before a call, checked if it has failed. */
#define failing_fill(object)          memset(&(object), 0xa5, sizeof(object))
#define failing_unchanged(rc, object) ((rc) ? failing_check(&(object), sizeof(object)) : (void)0)
void failing_check(const void *object, size_t size);

#endif
