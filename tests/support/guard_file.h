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
 * "Uses" means: has a refcount in the committed tables; and, on request, is referred to by them. The
 * first alone is enough for images that check finds sound.
 *
 * Where the image has a data file, a second guard watches that one, and the first knows of it:
 *
 *  4. No byte of it that the committed image shows is changed, nor its length if it is a raw image of its
 *     own, unless a durable sector 0 says that there is something to redo.
 *  5. Sector 0 is written only when all that was written to the data file is synced. So new data comes
 *     first, and the mark goes last.
 *
 * A call that breaks a rule is not passed on and fails; the test asks in the end whether one did.
 */
#pragma once

#include "io/file.h"

/*
 * `inner` gets the calls; `truth` is where the guard itself looks at the image, which is consistent:
 * the same file, or the one below a wrapper that makes calls fail. Both are borrowed. Nothing is looked
 * at before the first change, so a file that nobody changes costs nothing.
 */
struct qc_file *guard_file_open(struct qc_file *inner, struct qc_file *truth);

/* Of the data file `inner` of the image that `image` guards, which must be closed after this one. */
struct qc_file *guard_file_open_data(struct qc_file *inner, struct qc_file *image);

/* The image may refer to clusters without a count: those are not to be touched either. */
void guard_file_believe_references(struct qc_file *guard);

/* What was done that must never be done, to either file, in words; NULL: nothing. */
const char *guard_violation(const struct qc_file *guard);

/* How often sector 0 was switched. */
unsigned int guard_flips(const struct qc_file *guard);
