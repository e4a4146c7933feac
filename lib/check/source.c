// SPDX-License-Identifier: MIT
/*
 * Reading without looking at holes: a sparse file can claim exabytes, and all of its zeroes are
 * known without a read.
 */
#include "base/checked.h"
#include "check/check_impl.h"

/* Finds out what is at offset, unless that is known. */
static int look_up(struct qc_check *check, uint64_t offset, struct qc_err *err)
{
	struct qc_check_extent *extent = &check->extent;
	uint64_t length;
	int r;

	if (offset >= extent->start && offset < extent->end)
		return 0;
	r = qc_file_extent(check->file, offset, check->file->bytes - offset, &extent->data, &length,
			   err);
	if (r < 0)
		return r;
	extent->start = offset;
	extent->end = offset + length;
	return 0;
}

int qc_check_read(struct qc_check *check, uint64_t offset, void *buffer, size_t length,
		  bool *ret_zero, struct qc_err *err)
{
	uint64_t end;
	int r;

	if (offset >= check->file->bytes) {
		*ret_zero = true;
		return 0;
	}
	r = look_up(check, offset, err);
	if (r < 0)
		return r;
	end = qc_min(offset + length, check->file->bytes);
	*ret_zero = !check->extent.data && end <= check->extent.end;
	return *ret_zero ? 0 : qc_file_read(check->file, offset, buffer, length, err);
}
