// SPDX-License-Identifier: MIT
#include "ops/edit_data.h"

#include "image/data_file.h"
#include "io/file_mem.h"
#include "io/file_overlay.h"

int qc_edit_data_open(struct qc_edit_data *data, const struct qc_edit_data_how *how,
		      const struct qc_image *image, struct qc_err *err)
{
	const struct qc_file_open file = {
		.writable = !how->dry_run,
		.lock = how->dry_run ? QC_LOCK_READ : QC_LOCK_WRITE,
		.no_sync = how->no_sync,
		.no_header = true,
	};
	struct qc_file *changes;
	int status;

	if (data->file)
		return 0;
	status = qc_data_file_open(image, how->image_path, how->policy, &file, how->image_file,
				   &data->file, err);
	if (status < 0 || !how->dry_run)
		return status;
	if ((status = qc_file_posix_temporary(&changes, err)) < 0)
		return status;
	return qc_file_overlay_open(data->file, changes, &data->overlay, err);
}

/* The image with the header that the journal ends with; the one that is there may be torn. */
static int open_as_committed(struct qc_edit_data *data, const struct qc_edit_data_how *how,
			     struct qc_file *view, const struct qc_recover_plan *plan,
			     struct qc_err *err)
{
	struct qc_image *image;
	int status;

	status = qc_file_write(view, 0, plan->journal.head.after, QC_SECTOR_BYTES, err);
	if (status < 0 || (status = qc_image_open(view, NULL, &image, err)) < 0)
		return status;
	status = qc_edit_data_open(data, how, image, err);
	qc_image_close(image);
	return status;
}

int qc_edit_data_open_for_redo(struct qc_edit_data *data, const struct qc_edit_data_how *how,
			       struct qc_file *file, struct qc_recover_plan *plan,
			       struct qc_err *err)
{
	struct qc_file *changes, *view;
	int status;

	if (!plan->redo)
		return 0;
	if ((status = qc_file_mem_open(NULL, 0, &changes, err)) < 0
	    || (status = qc_file_overlay_open(file, changes, &view, err)) < 0)
		return status;
	status = open_as_committed(data, how, view, plan, err);
	qc_file_close(view);
	plan->data = qc_edit_data_file(data);
	return status;
}

struct qc_file *qc_edit_data_file(const struct qc_edit_data *data)
{
	return data->overlay ? data->overlay : data->file;
}

void qc_edit_data_close(struct qc_edit_data *data)
{
	qc_file_close(data->overlay);
	qc_file_close(data->file);
	*data = (struct qc_edit_data){0};
}
