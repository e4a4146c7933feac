// SPDX-License-Identifier: MIT
/* A number of equal pieces of work, done by several threads. The first error ends the work of all. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct qc_pieces {
	size_t count;
	/* What each thread does: takes pieces until there are none. */
	int (*work)(struct qc_pieces *pieces, struct qc_err *err);
	void *context;

	_Atomic size_t next;
	_Atomic bool failed;
	pthread_mutex_t lock;
	struct qc_err err; /* of the first thread that failed; under the lock */
};

/* Does it in `jobs` threads (0: one for each core), but in no more than `most`. */
int qc_pieces_run(struct qc_pieces *pieces, unsigned int jobs, size_t most, struct qc_err *err);

/* Up to at_once pieces from *ret_first on; 0: there are no more, or another thread failed. */
size_t qc_pieces_take(struct qc_pieces *pieces, size_t at_once, size_t *ret_first);
