// SPDX-License-Identifier: MIT
/*
 * check -r: finds out what is wrong and puts it right in one transaction. A crash leaves the image
 * as it was or repaired; what cannot be repaired is left as it is and found by the next check.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "check/check.h"

struct qc_repair_options {
	bool leaks_only; /* counts that are too high; else all counts, flags and marks */
	bool dry_run;
	bool no_sync;
	const volatile sig_atomic_t *stop;
	struct qc_progress *progress; /* of each check; NULL: nobody wants to know */

	/* Called once no other file will be opened, before any byte is read; or NULL. */
	void (*opened)(const void *context);
	const void *opened_context;
};

struct qc_repair_report {
	struct qc_check_result found; /* before */
	struct qc_check_result
		after; /* of the repaired image; equal to `found` if nothing was done */
	bool changed;
};

/*
 * Checks the image at `path`, repairs it and checks it again. The first check's findings go to
 * `before`, those of the second to `after`; both are called before anything is changed or after it
 * is durable. An image that cannot be walked is not repaired: then report.found.completed is false.
 */
int qc_repair(const char *path, const struct qc_repair_options *options,
	      const struct qc_finding_sink *before, const struct qc_finding_sink *after,
	      struct qc_repair_report *ret, struct qc_err *err);

/* What a repair works on and with: all of it writable (the image not in a dry run), and open. */
struct qc_repair_files {
	struct qc_file *image;	    /* locked */
	struct qc_file *spool;	    /* for the transaction; may be NULL */
	struct qc_file *scratch[2]; /* empty; the second one is for dry runs only */
};

/* Likewise on open files, which stay the caller's; the scratch files are consumed. */
int qc_repair_file(struct qc_repair_files *files, const struct qc_repair_options *options,
		   const struct qc_finding_sink *before, const struct qc_finding_sink *after,
		   struct qc_repair_report *ret, struct qc_err *err);
