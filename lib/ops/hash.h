// SPDX-License-Identifier: MIT
/*
 * A digest of what the guest sees and of the disk's size, and of nothing else: allocation, compression,
 * cluster size and chain do not show in it. docs/HASH.md defines it.
 */
#pragma once

#include <signal.h>

#include "base/err.h"
#include "base/progress.h"
#include "image/map.h"
#include "ops/hash_tree.h"

struct qc_hash {
	const struct qc_view *view;
	unsigned int threads;		   /* 0: one for each processor */
	const volatile sig_atomic_t *stop; /* NULL or: QC_E_INTERRUPTED once it is not 0 */
	struct qc_progress *progress;	   /* NULL or: bytes of the disk */
};

/* What fails, and how, does not depend on the number of threads: the lowest offset counts. */
int qc_hash_view(const struct qc_hash *hash, struct qc_digest *ret, struct qc_err *err);
