// SPDX-License-Identifier: MIT
/*
 * Do two views show a guest the same? The rules, and with them the offsets that come out, are those of
 * qemu-img compare: the shorter disk goes on with zeroes, and a difference is told by its sector.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "image/map.h"

struct qc_compare {
	const struct qc_view *view[2];
	bool strict;			   /* sizes and block status must be the same too */
	unsigned int threads;		   /* 0: one for each processor */
	const volatile sig_atomic_t *stop; /* NULL or: QC_E_INTERRUPTED once it is not 0 */
	struct qc_progress *progress;	   /* NULL or: bytes of the larger disk */
};

enum qc_difference {
	QC_DIFFERENCE_NONE,
	QC_DIFFERENCE_CONTENT,
	QC_DIFFERENCE_STATUS, /* strict only, as is the next one */
	QC_DIFFERENCE_SIZE,
};

struct qc_compare_report {
	enum qc_difference difference;
	uint64_t at; /* of the first sector with one */
	/* What failed, if the call did: */
	unsigned int side;
	bool reading; /* the contents, not the tables that say where they are */
};

/* The lowest difference or failure counts, whatever the number of threads. Fills *ret in any case. */
int qc_compare_views(const struct qc_compare *compare, struct qc_compare_report *ret,
		     struct qc_err *err);
