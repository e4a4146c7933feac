// SPDX-License-Identifier: MIT
/*
 * An image opened for a transaction, with all that belongs to that: locked, recovered from an
 * earlier crash, its refcounts rebuilt if another program left it dirty, its backing chain open, the
 * transaction begun.
 *
 * Calling sequence
 *	struct qc_edit *edit;
 *	if (qc_edit_open("disk.qcow2", &options, &edit, &err) < 0) ...
 *	qc_txn_write(edit->txn, ...);
 *	qc_edit_commit(edit, &report, &err);
 *	qc_edit_close(edit);			without a commit: nothing happened
 *
 * A dry run does all of it on an overlay: the image's file is opened for reading only, and what
 * would be written, the commit included, goes to a temporary file. So does a data file.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "base/err.h"
#include "image/chain.h"
#include "ops/edit_data.h"
#include "txn/recover.h"
#include "txn/txn.h"

struct qc_edit_options {
	struct qc_txn_options txn;
	enum qc_chain_policy policy;
	/* For edits that read no guest bytes: the chain stays closed. Any other of an encrypted image is
	 * refused (QC_E_UNSUPPORTED). */
	bool no_backing;
	bool dry_run;
	bool no_sync;

	/* Called once no other file will be opened, before the image's tables are walked; or NULL. */
	void (*opened)(const void *context);
	const void *opened_context;
};

/* What had to be done before the transaction could begin; for the caller to say. */
struct qc_edit_past {
	enum qc_recover_state recovered;
	bool rebuilt; /* the image was marked dirty, and a transaction of its own made it sound */
	uint64_t corruptions, leaks; /* that were put right then */
};

struct qc_edit {
	struct qc_file *file;	  /* the image's */
	struct qc_file *overlay;  /* what the transaction sees in a dry run, else NULL */
	struct qc_file *spool;	  /* for the transaction; NULL if there is no place for one */
	bool borrowed;		  /* the file is the caller's */
	struct qc_edit_data data; /* the image's data file, if it has one that is needed */
	struct qc_image *image;
	struct qc_layer *backing; /* NULL: none */
	struct qc_txn *txn;	  /* NULL once it has ended */
	struct qc_edit_past past;
};

int qc_edit_open(const char *path, const struct qc_edit_options *options, struct qc_edit **ret,
		 struct qc_err *err);

/*
 * Likewise on a file that is open already, and stays the caller's; `path` is where it is. Opens
 * nothing but the backing chain. A dry run is up to the caller, who passes an overlay then.
 */
int qc_edit_begin(struct qc_file *file, const char *path, const struct qc_edit_options *options,
		  struct qc_edit **ret, struct qc_err *err);

/* Ends the transaction. In a dry run the report says what would have happened. */
int qc_edit_commit(struct qc_edit *edit, struct qc_txn_report *ret, struct qc_err *err);

/* Begins another transaction on what the last one committed; nobody else got at the file meanwhile. */
int qc_edit_again(struct qc_edit *edit, const struct qc_edit_options *options, struct qc_err *err);

void qc_edit_close(struct qc_edit *edit); /* NULL is fine */
