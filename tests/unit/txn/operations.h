// SPDX-License-Identifier: MIT
/* Edits of images in memory as whole transactions, for tests that care about how those end. */
#pragma once

#include "txn/snapshot.h"
#include "unit/txn/fixture.h"

typedef int operation(struct qc_txn *txn, struct qc_err *err);

static inline int do_write(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_write(txn, qc_guest(10), filled(0x31), 50, err);
}

static inline int do_grow(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_grow(txn, qc_txn_disk_bytes(txn) * 2, err);
}

static inline int do_snapshot_create(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_snapshot_create(txn, "new", (struct qc_snapshot_date){1, 2}, err);
}

static inline int do_snapshot_apply(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_snapshot_apply(txn, 0, err);
}

static inline int do_snapshot_delete(struct qc_txn *txn, struct qc_err *err)
{
	return qc_txn_snapshot_delete(txn, 0, err);
}

/* The whole transaction; its outcome. */
static inline int run_operation(struct qc_file *file, operation *edit,
				const struct qc_txn_options *options, struct qc_err *err)
{
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_txn_report report;
	struct qc_image *image;
	struct qc_txn *txn;
	int status;

	if (qc_image_open(guard, NULL, &image, err) < 0)
		fail_msg("%s", err->text);
	status = qc_txn_begin(image, NULL, options, &txn, err);
	if (status == 0) {
		status = edit(txn, err);
		if (status == 0)
			status = qc_txn_commit(txn, &report, err);
		else
			qc_txn_abort(txn);
	}
	qc_image_close(image);
	end_guard(guard);
	return status;
}

/* Refused with that code, and every byte as it was. */
static inline void assert_refuses(struct qc_file *file, operation *edit,
				  const struct qc_txn_options *options, enum qc_code code)
{
	static const struct qc_txn_options plain;
	size_t length = (size_t)file->bytes;
	uint8_t *old = malloc(length);
	struct qc_err err;
	int status;

	assert_non_null(old);
	memcpy(old, qc_file_mem_bytes(file), length);
	status = run_operation(file, edit, options ? options : &plain, &err);
	if (status != -(int)code)
		fail_msg("status %d, not %d: %s", status, -(int)code, status ? err.text : "done");
	assert_true(same_file(file, old, length));
	free(old);
}

static inline void assert_allows(struct qc_file *file, operation *edit)
{
	static const struct qc_txn_options plain;
	struct qc_err err;

	if (run_operation(file, edit, &plain, &err) < 0)
		fail_msg("%s", err.text);
	assert_sound(file);
}

/* A file of its own with the builder's image as it is now. */
static inline struct qc_file *copy_of(const uint8_t *bytes, size_t length)
{
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	return file;
}
