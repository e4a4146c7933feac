// SPDX-License-Identifier: MIT
/*
 * Tables that overlap. 65536 snapshots may all name the same L1 table, or the same but for one entry,
 * so tables are not read one by one: the stretches of the file that they cover are, each once, with
 * the number of tables that cover it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* One table: bytes start .. end-1 of the file; owners are numbered as subject.c says. */
struct qc_span {
	uint64_t start;
	uint64_t end;
	uint32_t owner;
};

/* A stretch that is covered by the same tables from start to end. */
struct qc_stretch {
	uint64_t start;
	uint64_t end;
	uint64_t weight;	     /* how many tables */
	uint64_t active;	     /* how many of them have owner 0 */
	const struct qc_span *cover; /* one of them; one with owner 0 if there is any */
};

/* Calls take() for each stretch, in the order of the file; stops at the first failure. */
int qc_spans_sweep(struct qc_span *spans, size_t count,
		   int (*take)(void *context, const struct qc_stretch *stretch, struct qc_err *err),
		   void *context, struct qc_err *err);
