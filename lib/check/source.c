// SPDX-License-Identifier: MIT
/*
 * Reading without looking at holes: a sparse file can claim exabytes, and all of its zeroes are
 * known without a read.
 */
#include "base/checked.h"
#include "check/check_impl.h"

/* Finds out what is at offset, unless that is known. */
static int look_up(struct qc_file *file, struct qc_check_extent *extent, uint64_t offset,
		   struct qc_err *err)
{
	uint64_t length;
	int status;

	if (offset >= extent->start && offset < extent->end)
		return 0;
	status = qc_file_extent(file, offset, file->bytes - offset, &extent->data, &length, err);
	if (status < 0)
		return status;
	extent->start = offset;
	extent->end = offset + length;
	return 0;
}

int qc_check_read_by(struct qc_file *file, struct qc_check_extent *extent, uint64_t offset,
		     void *buffer, size_t length, bool *ret_zero, struct qc_err *err)
{
	uint64_t end;
	int status;

	if (offset >= file->bytes) {
		*ret_zero = true;
		return 0;
	}
	status = look_up(file, extent, offset, err);
	if (status < 0)
		return status;
	end = qc_min(offset + length, file->bytes);
	*ret_zero = !extent->data && end <= extent->end;
	return *ret_zero ? 0 : qc_file_read(file, offset, buffer, length, err);
}

int qc_check_read(struct qc_check *check, uint64_t offset, void *buffer, size_t length,
		  bool *ret_zero, struct qc_err *err)
{
	return qc_check_read_by(check->file, &check->extent, offset, buffer, length, ret_zero, err);
}
