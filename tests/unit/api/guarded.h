// SPDX-License-Identifier: MIT
/*
 * An edit opens its file by name. Here the guard gets between the two all the same: the tests are
 * linked so that the library's qc_file_posix_open is the one below, which turns the calls on a file
 * that it opens for writing, one at a time, into calls on a guard, and the guard's into those on the file.
 */
#pragma once

#include "io/file_posix.h"
#include "support/under_guard.h"

struct guarded {
	struct qc_file below; /* what the guard sees */
	struct qc_file *file, *guard;
	const struct qc_file_ops *ops; /* the file's own */
	unsigned int flips;	       /* of all the files so far */
};

static struct guarded guarded;

/* --- from the guard to the file --- */

static int below_done(int status)
{
	guarded.below.bytes = guarded.file->bytes;
	return status;
}

static int below_read(struct qc_file *below, uint64_t offset, void *buffer, size_t length,
		      struct qc_err *err)
{
	(void)below;
	return guarded.ops->read(guarded.file, offset, buffer, length, err);
}

static int below_write(struct qc_file *below, uint64_t offset, const void *buffer, size_t length,
		       struct qc_err *err)
{
	(void)below;
	return below_done(guarded.ops->write(guarded.file, offset, buffer, length, err));
}

static int below_resize(struct qc_file *below, uint64_t bytes, struct qc_err *err)
{
	(void)below;
	return below_done(guarded.ops->resize(guarded.file, bytes, err));
}

static int below_punch(struct qc_file *below, uint64_t offset, uint64_t length, struct qc_err *err)
{
	(void)below;
	return guarded.ops->punch(guarded.file, offset, length, err);
}

static int below_sync(struct qc_file *below, enum qc_sync kind, struct qc_err *err)
{
	(void)below;
	return guarded.ops->sync(guarded.file, kind, err);
}

static int below_extent(struct qc_file *below, uint64_t offset, uint64_t length, bool *ret_data,
			uint64_t *ret_length, struct qc_err *err)
{
	(void)below;
	return guarded.ops->extent(guarded.file, offset, length, ret_data, ret_length, err);
}

/* --- from the library to the guard --- */

static int above_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		      struct qc_err *err)
{
	(void)file;
	return qc_file_read(guarded.guard, offset, buffer, length, err);
}

static int above_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		       struct qc_err *err)
{
	(void)file;
	return qc_file_write(guarded.guard, offset, buffer, length, err);
}

static int above_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	(void)file;
	return qc_file_resize(guarded.guard, bytes, err);
}

static int above_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	(void)file;
	return qc_file_punch(guarded.guard, offset, length, err);
}

static int above_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	(void)file;
	return qc_file_sync(guarded.guard, kind, err);
}

static int above_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			uint64_t *ret_length, struct qc_err *err)
{
	(void)file;
	return qc_file_extent(guarded.guard, offset, length, ret_data, ret_length, err);
}

static void above_close(struct qc_file *file)
{
	guarded.flips += guard_flips(guarded.guard);
	end_guard(guarded.guard);
	guarded.file = NULL;
	guarded.ops->close(file);
}

/* --- the linker's names --- */

int __real_qc_file_posix_open(const char *path, const struct qc_file_open *how,
			      struct qc_file **ret, struct qc_err *err);
int __wrap_qc_file_posix_open(const char *path, const struct qc_file_open *how,
			      struct qc_file **ret, struct qc_err *err);

int __wrap_qc_file_posix_open(const char *path, const struct qc_file_open *how,
			      struct qc_file **ret, struct qc_err *err)
{
	static const struct qc_file_ops below = {below_read,  below_write, below_resize,
						 below_punch, below_sync,  below_extent,
						 NULL};
	static const struct qc_file_ops above = {above_read,  above_write, above_resize,
						 above_punch, above_sync,  above_extent,
						 above_close};
	int status = __real_qc_file_posix_open(path, how, ret, err);

	if (status < 0 || !how->writable)
		return status;
	assert_null(guarded.file);
	guarded.file = *ret;
	guarded.ops = guarded.file->ops;
	guarded.below = *guarded.file;
	guarded.below.ops = &below;
	guarded.guard = guard_file_open(&guarded.below, &guarded.below);
	guarded.file->ops = &above;
	return 0;
}
