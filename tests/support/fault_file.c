// SPDX-License-Identifier: MIT
#include "tests/support/fault_file.h"

#include <stdlib.h>

#include "tests/support/image_builder_impl.h"

struct fault {
	struct qc_file base;
	struct qc_file *inner;
	struct fault_plan plan;
	uint64_t seen;
	bool happened;
};

static struct fault *fault_of(struct qc_file *file)
{
	return (struct fault *)file;
}

/* Counts a call; an error if it is one of those that fail. */
static int meet(struct qc_file *file, enum fault_call call, const char *what, struct qc_err *err)
{
	struct fault *f = fault_of(file);
	uint64_t number;

	if ((f->plan.calls & call) == 0)
		return 0;
	number = f->seen++;
	if (f->plan.sticky ? number < f->plan.at : number != f->plan.at)
		return 0;
	f->happened = true;
	return qc_fail_errno(err, f->plan.os_errno, "%s", what);
}

static int fault_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		      struct qc_err *err)
{
	int status = meet(file, FAULT_READ, "read", err);

	return status < 0 ? status
			  : qc_file_read(fault_of(file)->inner, offset, buffer, length, err);
}

static int fault_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		       struct qc_err *err)
{
	struct qc_file *inner = fault_of(file)->inner;
	int status = meet(file, FAULT_WRITE, "write", err);
	struct qc_err ignored;

	if (status == 0)
		status = qc_file_write(inner, offset, buffer, length, err);
	else if (fault_of(file)->plan.partly)
		(void)qc_file_write(inner, offset, buffer, length / 2, &ignored);
	file->bytes = inner->bytes;
	return status;
}

static int fault_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	struct qc_file *inner = fault_of(file)->inner;
	int status = meet(file, FAULT_RESIZE, "resize", err);

	if (status == 0)
		status = qc_file_resize(inner, bytes, err);
	file->bytes = inner->bytes;
	return status;
}

static int fault_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	int status = meet(file, FAULT_PUNCH, "punch", err);

	return status < 0 ? status : qc_file_punch(fault_of(file)->inner, offset, length, err);
}

static int fault_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	int status = meet(file, FAULT_SYNC, "sync", err);

	return status < 0 ? status : qc_file_sync(fault_of(file)->inner, kind, err);
}

static int fault_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			uint64_t *ret_length, struct qc_err *err)
{
	return qc_file_extent(fault_of(file)->inner, offset, length, ret_data, ret_length, err);
}

static void fault_close(struct qc_file *file)
{
	free(file);
}

struct qc_file *fault_file_open(struct qc_file *inner, const struct fault_plan *plan)
{
	static const struct qc_file_ops ops = {
		.read = fault_read,
		.write = fault_write,
		.resize = fault_resize,
		.punch = fault_punch,
		.sync = fault_sync,
		.extent = fault_extent,
		.close = fault_close,
	};
	struct fault *f = calloc(1, sizeof(*f));

	builder_must(f != NULL, "out of memory");
	f->base = (struct qc_file){
		.ops = &ops,
		.bytes = inner->bytes,
		.fixed_length = inner->fixed_length,
		.writable = inner->writable,
	};
	f->inner = inner;
	f->plan = *plan;
	return &f->base;
}

bool fault_happened(const struct qc_file *fault)
{
	return ((const struct fault *)fault)->happened;
}
