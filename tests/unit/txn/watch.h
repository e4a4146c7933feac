// SPDX-License-Identifier: MIT
/*
 * A file that notes in which order it is changed, and that lets a test step in at a call: one letter
 * each, S full sync, D data sync, 0 sector 0, W another write, P punch, R resize.
 */
#pragma once

#include "unit/txn/fixture.h"

struct watch {
	struct qc_file base;
	struct qc_file *inner; /* borrowed */
	char log[4096];
	size_t length;
	unsigned int syncs, reads;
	/* Called before each sync and each read; an error is the call's outcome. May be NULL. */
	int (*at_sync)(struct watch *w, unsigned int number, struct qc_err *err);
	void (*at_read)(struct watch *w, unsigned int number);
	/* The next change fails when this counts down to 0; < 0: none does. */
	int fail_change;
	void *context;
};

static inline struct watch *watch_of(struct qc_file *file)
{
	return (struct watch *)file;
}

static inline void watch_note(struct watch *w, char letter)
{
	if (w->length < sizeof(w->log) - 1)
		w->log[w->length++] = letter;
	w->log[w->length] = '\0';
}

static inline int watch_change(struct watch *w, char letter, struct qc_err *err)
{
	watch_note(w, letter);
	if (w->fail_change < 0 || w->fail_change-- > 0)
		return 0;
	return qc_fail(err, QC_E_IO, "the change that had to fail");
}

static inline int watch_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
			     struct qc_err *err)
{
	struct watch *w = watch_of(file);

	if (w->at_read)
		w->at_read(w, w->reads);
	w->reads++;
	return qc_file_read(w->inner, offset, buffer, length, err);
}

static inline int watch_write(struct qc_file *file, uint64_t offset, const void *buffer,
			      size_t length, struct qc_err *err)
{
	struct watch *w = watch_of(file);
	int status = watch_change(w, offset == 0 ? '0' : 'W', err);

	if (status == 0)
		status = qc_file_write(w->inner, offset, buffer, length, err);
	file->bytes = w->inner->bytes;
	return status;
}

static inline int watch_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	struct watch *w = watch_of(file);
	int status = watch_change(w, 'R', err);

	if (status == 0)
		status = qc_file_resize(w->inner, bytes, err);
	file->bytes = w->inner->bytes;
	return status;
}

static inline int watch_punch(struct qc_file *file, uint64_t offset, uint64_t length,
			      struct qc_err *err)
{
	int status = watch_change(watch_of(file), 'P', err);

	return status < 0 ? status : qc_file_punch(watch_of(file)->inner, offset, length, err);
}

static inline int watch_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	struct watch *w = watch_of(file);
	int status = w->at_sync ? w->at_sync(w, w->syncs, err) : 0;

	w->syncs++;
	watch_note(w, kind == QC_SYNC_FULL ? 'S' : 'D');
	return status < 0 ? status : qc_file_sync(w->inner, kind, err);
}

static inline int watch_extent(struct qc_file *file, uint64_t offset, uint64_t length,
			       bool *ret_data, uint64_t *ret_length, struct qc_err *err)
{
	return qc_file_extent(watch_of(file)->inner, offset, length, ret_data, ret_length, err);
}

static inline void watch_close(struct qc_file *file)
{
	(void)file;
}

/* On the stack of the test: there is nothing to close. */
static inline void watch_open(struct watch *w, struct qc_file *inner)
{
	static const struct qc_file_ops ops = {
		.read = watch_read,
		.write = watch_write,
		.resize = watch_resize,
		.punch = watch_punch,
		.sync = watch_sync,
		.extent = watch_extent,
		.close = watch_close,
	};

	*w = (struct watch){
		.base = {.ops = &ops, .bytes = inner->bytes, .writable = true},
		.inner = inner,
		.fail_change = -1,
	};
}

/* A transaction that writes 1000 bytes of `fill` at `at`. */
static inline int watch_write_guest(struct qc_file *file, uint64_t at, uint8_t fill,
				    struct qc_err *err)
{
	static const struct qc_txn_options options;
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_txn_report report;
	struct qc_image *image;
	struct qc_txn *txn = NULL;
	int status;

	if (qc_image_open(guard, NULL, &image, err) < 0
	    || qc_txn_begin(image, NULL, &options, &txn, err) < 0)
		fail_msg("%s", err->text);
	status = qc_txn_write(txn, qc_guest(at), filled(fill), 1000, err);
	if (status == 0)
		status = qc_txn_commit(txn, &report, err);
	else
		qc_txn_abort(txn);
	qc_image_close(image);
	end_guard(guard);
	return status;
}
