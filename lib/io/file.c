// SPDX-License-Identifier: MIT
/*
 * The front of every backend: what is the same for all of them is done here and nowhere else.
 *
 * 1. No range that a backend sees wraps around or goes beyond what off_t can say.
 * 2. No backend is asked to read, punch or describe anything past the end of the file.
 * 3. No backend is asked for an empty range.
 */
#include "io/file.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"

static int check_range(uint64_t offset, uint64_t length, const char *what, struct qc_err *err)
{
	if (qc_range_fits(offset, length, INT64_MAX))
		return 0;
	return qc_fail(err, QC_E_RANGE,
		       "%s of %" PRIu64 " bytes at offset 0x%" PRIx64
		       ": beyond what any file can hold",
		       what, length, offset);
}

static int check_writable(const struct qc_file *file, const char *what, struct qc_err *err)
{
	if (file->writable)
		return 0;
	return qc_fail(err, QC_E_IO, "%s: the file is open for reading only", what);
}

int qc_file_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		 struct qc_err *err)
{
	uint64_t end = file->bytes;
	size_t inside;

	if (check_range(offset, length, "read", err) < 0)
		return -(int)err->code;
	inside = offset < end ? (size_t)qc_min(length, end - offset) : 0;
	if (inside > 0 && file->ops->read(file, offset, buffer, inside, err) < 0)
		return -(int)err->code;
	if (inside < length)
		memset((uint8_t *)buffer + inside, 0, length - inside);
	return 0;
}

int qc_file_read_sparse(struct qc_file *file, uint64_t offset, void *zeroes, size_t length,
			struct qc_err *err)
{
	uint8_t *at = zeroes;
	uint64_t now;
	bool data;
	int status;

	if (length <= QC_FILE_WORTH_ASKING_BYTES)
		return qc_file_read(file, offset, zeroes, length, err);
	for (; length > 0; length -= (size_t)now, offset += now, at += now) {
		if ((status = qc_file_extent(file, offset, length, &data, &now, err)) < 0)
			return status;
		if (data && (status = qc_file_read(file, offset, at, (size_t)now, err)) < 0)
			return status;
	}
	return 0;
}

int qc_file_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		  struct qc_err *err)
{
	if (check_writable(file, "write", err) < 0 || check_range(offset, length, "write", err) < 0)
		return -(int)err->code;
	if (length == 0)
		return 0;
	if (file->fixed_length && offset + length > file->bytes)
		return qc_fail(err, QC_E_NO_SPACE,
			       "write of %zu bytes at offset 0x%" PRIx64
			       ": past the end of the device",
			       length, offset);
	return file->ops->write(file, offset, buffer, length, err);
}

int qc_file_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	if (check_writable(file, "resize", err) < 0 || check_range(bytes, 0, "resize", err) < 0)
		return -(int)err->code;
	if (bytes == file->bytes)
		return 0;
	if (file->fixed_length)
		return qc_fail(err, QC_E_NO_SPACE,
			       "resize to %" PRIu64 " bytes: the device has %" PRIu64
			       " and cannot change",
			       bytes, file->bytes);
	return file->ops->resize(file, bytes, err);
}

int qc_file_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	if (check_writable(file, "punch", err) < 0 || check_range(offset, length, "punch", err) < 0)
		return -(int)err->code;
	if (offset >= file->bytes || length == 0)
		return 0;
	return file->ops->punch(file, offset, qc_min(length, file->bytes - offset), err);
}

int qc_file_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	return file->ops->sync(file, kind, err);
}

int qc_file_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
		   uint64_t *ret_length, struct qc_err *err)
{
	if (check_range(offset, length, "extent", err) < 0)
		return -(int)err->code;
	if (offset >= file->bytes || length == 0) {
		*ret_data = false;
		*ret_length = length;
		return 0;
	}
	return file->ops->extent(file, offset, qc_min(length, file->bytes - offset), ret_data,
				 ret_length, err);
}

void qc_file_close(struct qc_file *file)
{
	if (file)
		file->ops->close(file);
}
