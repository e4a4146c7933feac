// SPDX-License-Identifier: MIT
/*
 * Threads that inflate clusters. The caller reads and writes; what it gets back is in the order in
 * which it was handed in, whatever the number of threads.
 *
 * Calling sequence
 *	qc_pool_open(compression, cluster_bytes, threads, &pool, &err);
 *	qc_pool_load(pool, &load, &err);		load NULL: none is free, take one back first
 *	... fill load->in and load->jobs ...
 *	qc_pool_submit(pool, load);
 *	load = qc_pool_take(pool);			the one submitted first, inflated
 *	... use load->out, load->failed ...
 *	qc_pool_release(pool);
 *	qc_pool_close(pool);				at any time
 *
 * Memory: QC_POOL_LOADS loads of at most 6 MiB each, 48 MiB in all, and a codec for each thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/features.h"

#define QC_POOL_LOADS 8

struct qc_pool;

struct qc_pool_job {
	const uint8_t *from; /* in load->in */
	size_t from_bytes;
	bool zero; /* the cluster is all zeroes */
};

/* Clusters that are read, inflated and written together. */
struct qc_pool_load {
	uint8_t *in; /* compressed bytes, as the caller reads them */
	size_t in_room, in_used;
	uint8_t *out; /* a cluster for each job, one behind the other */
	struct qc_pool_job *jobs;
	size_t jobs_max, count;
	size_t first;	     /* for the caller: what the first job is */
	size_t failed;	     /* the first job that failed; count: none */
	struct qc_err error; /* its error */

	/* The pool's. */
	size_t handed_out, done;
};

/* threads 0: as many as there are processors that this process may use. */
int qc_pool_open(enum qc_compression compression, size_t cluster_bytes, unsigned int threads,
		 struct qc_pool **ret, struct qc_err *err);
void qc_pool_close(struct qc_pool *pool); /* NULL is fine */

/* An empty load, to be filled and submitted before the next; *ret NULL: all are under way. */
int qc_pool_load(struct qc_pool *pool, struct qc_pool_load **ret, struct qc_err *err);
void qc_pool_submit(struct qc_pool *pool, struct qc_pool_load *load);
struct qc_pool_load *qc_pool_take(struct qc_pool *pool); /* NULL: none was submitted */
void qc_pool_release(struct qc_pool *pool);		 /* the one taken */
