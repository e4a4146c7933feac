// SPDX-License-Identifier: MIT
/*
 * A file that watches a transaction keep its promises (I1, I2, I4, I6 of txn/txn.h) on another one:
 *
 *  1. No cluster that the committed state uses is written to, punched or cut off, but for the bytes
 *     behind sector 0 in cluster 0 that neither the header extensions nor the backing name occupy.
 *  2. But for sector 0: it is written whole, once, with nothing else written since a full sync, and
 *     nothing at all is changed from there to the end of the next sync.
 *  3. That sync makes the new state the committed one: what it no longer uses may go from then on.
 *
 * "Uses" means: has a refcount in the committed tables. So the image must have neither leaks nor
 * references without a count, which is for the test to make sure of (qc_check_run()).
 *
 * A call that breaks a rule is not passed on and fails; the test asks in the end whether one did.
 */
#pragma once

#include "io/file.h"

/*
 * `inner` gets the calls; `truth` is where the guard itself looks at the image, which is consistent:
 * the same file, or the one below a wrapper that makes calls fail. Both are borrowed.
 */
struct qc_file *guard_file_open(struct qc_file *inner, struct qc_file *truth);

/* What was done that must never be done, in words; NULL: nothing. */
const char *guard_violation(const struct qc_file *guard);

/* How often sector 0 was switched. */
unsigned int guard_flips(const struct qc_file *guard);
