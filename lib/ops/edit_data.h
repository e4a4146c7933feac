// SPDX-License-Identifier: MIT
/*
 * The external data file of an image that is opened for an edit, or for what an interrupted
 * transaction left to be written to it. Writable and locked as the image is; in a dry run, opened
 * for reading only, under an overlay.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "image/image.h"
#include "image/reference.h"
#include "txn/recover.h"

struct qc_edit_data {
	struct qc_file *file, *overlay; /* NULL: not open, no overlay */
};

struct qc_edit_data_how {
	const char *image_path; /* what the policy goes by */
	const struct qc_file *image_file;
	enum qc_chain_policy policy;
	bool dry_run;
	bool no_sync;
};

/* Opens the file that `image` names, unless it is open already. */
int qc_edit_data_open(struct qc_edit_data *data, const struct qc_edit_data_how *how,
		      const struct qc_image *image, struct qc_err *err);

/* Does so if the plan is to write to it, and sets plan->data. `file` is the image as it stands. */
int qc_edit_data_open_for_redo(struct qc_edit_data *data, const struct qc_edit_data_how *how,
			       struct qc_file *file, struct qc_recover_plan *plan,
			       struct qc_err *err);

/* What to write to; NULL if it is not open. */
struct qc_file *qc_edit_data_file(const struct qc_edit_data *data);

void qc_edit_data_close(struct qc_edit_data *data); /* harmless on a zeroed struct */
