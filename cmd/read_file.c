// SPDX-License-Identifier: MIT
#include "cmd/read_file.h"

#include "base/cleanup.h"
#include "cmd/lock_down.h"
#include "cmd/interrupt.h"
#include "cmd/new_file.h"

static bool is_file(const struct qc_file *file, const struct qc_file_identity *identity)
{
	struct qc_file_identity own;

	return qc_file_posix_identity(file, &own) && own.device == identity->device
	       && own.inode == identity->inode;
}

/* Refuses to replace a file that is being read. */
static int refuse_chain(const struct qc_layer *chain, const char *path, struct qc_err *err)
{
	const struct qc_file_open look = {.lock = QC_LOCK_NONE};
	struct qc_file_identity target;
	struct qc_file *file;
	bool found;
	int rc;

	rc = qc_file_posix_open(path, &look, &file, err);
	if (rc < 0)
		return rc;
	found = qc_file_posix_identity(file, &target);
	qc_file_close(file);
	for (; found && chain; chain = chain->backing)
		if (is_file(chain->file, &target) || (chain->data && is_file(chain->data, &target)))
			return qc_fail(err, QC_E_ARGUMENT, "is part of the image being read");
	return 0;
}

static int publish(struct qc_file *file, const char *target, struct qc_err *err)
{
	(void)interrupt_catch(); /* too late to say that nothing has been changed */
	return qc_file_posix_publish(file, target, true, err);
}

int read_to_file(const struct opened_view *opened, const struct qc_copy *copy, const char *path,
		 const struct common_options *common, struct qc_err *err)
{
	QC_AUTOFREE char *target = NULL;
	bool exists = false;
	struct qc_file *file;
	int rc;

	rc = new_file_target(path, true, &target, &exists, err);
	if (rc == 0 && exists)
		rc = refuse_chain(opened->chain, target, err);
	if (rc < 0)
		return rc;
	rc = qc_file_posix_create(target, false, &file, err);
	if (rc < 0)
		return rc;
	lock_down_but_publish(common, file, NULL);
	rc = qc_file_resize(file, copy->length, err);
	if (rc == 0)
		rc = qc_copy_to_file(copy, file, err);
	if (rc == 0)
		rc = publish(file, target, err);
	qc_file_close(file);
	return rc;
}
