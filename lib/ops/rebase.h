// SPDX-License-Identifier: MIT
/*
 * Another backing file for an image whose guest contents stay what they are: what the image does not
 * hold, and what the new chain shows differently, is copied in from the old chain. Name, format and
 * all tables change in the one write of the commit, so that at every moment the image reads the same
 * through whichever base its header names.
 *
 * Calling sequence
 *	qc_rebase_check(&rebase, &err);			what can be wrong without any file
 *	qc_edit_open(path, &options, &edit, &err);	options.no_backing = rebase.unsafe
 *	qc_rebase(edit, path, &rebase, &report, &err);
 *	qc_edit_commit(edit, &txn_report, &err);
 *
 * Internal snapshots show the backing chain too, and keep their contents likewise. A cluster that
 * several of them and the disk lack is copied in once. Dirty bitmaps stay as they are: there is no
 * change for them to record.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/progress.h"
#include "ops/edit.h"

struct qc_rebase {
	const char *name;      /* as it will stand in the image; NULL: none */
	const char *format;    /* "qcow2" or "raw"; with a name */
	bool unsafe;	       /* only the name and the format change, whatever that does */
	bool ignore_snapshots; /* they will show the new base */
	bool compress;	       /* store compressed; what the edit was opened with */
	enum qc_chain_policy policy;
	struct qc_progress *progress; /* NULL or: bytes of the disk */

	/* Called once no other file will be opened; or NULL. */
	void (*opened)(const void *context);
	const void *opened_context;
};

struct qc_rebase_report {
	uint64_t copied_bytes; /* guest bytes */
	uint64_t zeroed_bytes;
};

int qc_rebase_check(const struct qc_rebase *rebase, struct qc_err *err);

/*
 * Does all but the commit. Refused before any work: a new chain that cannot be opened, leads back to
 * the image or is not allowed (QC_E_POLICY), a header without room, an encrypted image.
 */
int qc_rebase(struct qc_edit *edit, const char *path, const struct qc_rebase *rebase,
	      struct qc_rebase_report *ret, struct qc_err *err);

/* Likewise, with the new chain (NULL: none) open already. */
int qc_rebase_onto(struct qc_edit *edit, const struct qc_layer *new, const struct qc_rebase *rebase,
		   struct qc_rebase_report *ret, struct qc_err *err);
