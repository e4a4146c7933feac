// SPDX-License-Identifier: MIT
#include "cmd/read_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/lock_down.h"
#include "cmd/interrupt.h"
#include "cmd/new_file.h"
#include "image/chain_map.h"
#include "image/read.h"

#define CHUNK_BYTES (4u << 20)
#define HOLE_BYTES 4096u /* the smallest stretch of zeroes that becomes a hole */

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
	for (; found && chain != NULL; chain = chain->backing)
		if (is_file(chain->file, &target) || (chain->data && is_file(chain->data, &target)))
			return qc_fail(err, QC_E_ARGUMENT, "is part of the image being read");
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
	return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Writes what is not zero; the file is all zeroes to begin with. */
static int write_sparsely(struct qc_file *file, uint64_t offset, const uint8_t *bytes,
			  size_t length, struct qc_err *err)
{
	size_t start = 0;
	size_t at, step;
	int rc;

	for (at = 0; at < length; at += step) {
		step = qc_min(length - at, HOLE_BYTES);
		if (!is_zero(bytes + at, step))
			continue;
		rc = start == at
			     ? 0
			     : qc_file_write(file, offset + start, bytes + start, at - start, err);
		if (rc < 0)
			return rc;
		start = at + step;
	}
	if (start >= length)
		return 0;
	return qc_file_write(file, offset + start, bytes + start, length - start, err);
}

static int copy(const struct qc_view *view, uint64_t at, uint64_t length, struct qc_file *file,
		struct qc_progress *progress, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *buffer = malloc(CHUNK_BYTES);
	struct qc_chain_extent extent;
	uint64_t done;
	size_t step;
	int rc;

	if (buffer == NULL)
		return qc_fail_memory(err);
	for (done = 0; done < length; done += step) {
		qc_progress_step(progress, done, length);
		rc = qc_chain_map(view, qc_guest(at + done), length - done, &extent, err);
		if (rc < 0)
			return rc;
		step = extent.bytes;
		if (extent.zero)
			continue;
		step = qc_min(length - done, CHUNK_BYTES);
		rc = qc_read(view, qc_guest(at + done), buffer, step, err);
		if (rc < 0)
			return rc;
		rc = write_sparsely(file, done, buffer, step, err);
		if (rc < 0)
			return rc;
	}
	qc_progress_step(progress, length, length);
	return 0;
}

static int publish(struct qc_file *file, const char *target, struct qc_err *err)
{
	(void)interrupt_catch(); /* too late to say that nothing has been changed */
	return qc_file_posix_publish(file, target, true, err);
}

int read_to_file(const struct opened_view *opened, uint64_t at, uint64_t length, const char *path,
		 struct qc_progress *progress, const struct common_options *common,
		 struct qc_err *err)
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
	lock_down_but_publish(common, file);
	rc = qc_file_resize(file, length, err);
	if (rc == 0)
		rc = copy(&opened->view, at, length, file, progress, err);
	if (rc == 0)
		rc = publish(file, target, err);
	qc_file_close(file);
	return rc;
}
