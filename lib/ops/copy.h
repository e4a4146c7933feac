// SPDX-License-Identifier: MIT
/*
 * A view's bytes to somewhere else. Several threads read, and inflate what is compressed; so long as
 * one waits for the storage or the receiver, the others go on.
 *
 * Memory: 2 MiB a thread, and where clusters are compressed up to three times the size of a cluster.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "image/map.h"
#include "io/file.h"

#define QC_COPY_PART_BYTES (UINT64_C(2) << 20)

struct qc_copy {
	const struct qc_view *view;
	uint64_t at, length;	      /* inside of the disk */
	unsigned int threads;	      /* 0: one for each processor */
	struct qc_progress *progress; /* NULL or: bytes of the length */
};

/*
 * To a file that is so long already, and all zeroes: the byte at `at` becomes its first. Nothing is
 * written where there are only zeroes, to the 4 KiB. A failure leaves the file half full; what it
 * says is the lowest that there was.
 */
int qc_copy_to_file(const struct qc_copy *copy, struct qc_file *file, struct qc_err *err);

/* Takes the next bytes. Called by any thread, by one at a time. */
typedef int qc_copy_take(void *context, const uint8_t *bytes, size_t length, struct qc_err *err);

/* In order. All that comes before a failure is handed over. */
int qc_copy_in_order(const struct qc_copy *copy, qc_copy_take *take, void *context,
		     struct qc_err *err);

/*
 * The next part to be read, at most QC_COPY_PART_BYTES long and behind all others; length 0: there is
 * none. Called by any thread, by one at a time, while another one may call take().
 */
typedef void qc_copy_next(void *context, uint64_t *ret_at, uint64_t *ret_length);

/* Likewise, but parts of the disk instead of [copy->at, copy->at + copy->length). No progress is told. */
int qc_copy_parts(const struct qc_copy *copy, qc_copy_next *next, qc_copy_take *take, void *context,
		  struct qc_err *err);
