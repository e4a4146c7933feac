// SPDX-License-Identifier: MIT
#include "crash/record_file.h"

#include "crash/must.h"

struct record_file {
	struct qc_file base;
	struct qc_file *lower;
	unsigned int number;
	struct crash_log *log;
};

static struct record_file *record(struct qc_file *file)
{
	return (struct record_file *)file;
}

static int done(struct qc_file *file, int status)
{
	file->bytes = record(file)->lower->bytes;
	return status;
}

static int record_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		       struct qc_err *err)
{
	return qc_file_read(record(file)->lower, offset, buffer, length, err);
}

static int record_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
			struct qc_err *err)
{
	crash_log_add_to(record(file)->log, record(file)->number, CRASH_WRITE, offset, length,
			 buffer);
	return done(file, qc_file_write(record(file)->lower, offset, buffer, length, err));
}

static int record_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	crash_log_add_to(record(file)->log, record(file)->number, CRASH_RESIZE, 0, bytes, NULL);
	return done(file, qc_file_resize(record(file)->lower, bytes, err));
}

static int record_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	crash_log_add_to(record(file)->log, record(file)->number, CRASH_PUNCH, offset, length,
			 NULL);
	return done(file, qc_file_punch(record(file)->lower, offset, length, err));
}

static int record_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	crash_log_add_to(record(file)->log, record(file)->number, CRASH_SYNC, (uint64_t)kind, 0,
			 NULL);
	return qc_file_sync(record(file)->lower, kind, err);
}

static int record_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			 uint64_t *ret_length, struct qc_err *err)
{
	return qc_file_extent(record(file)->lower, offset, length, ret_data, ret_length, err);
}

static void record_close(struct qc_file *file)
{
	free(file);
}

static const struct qc_file_ops record_ops = {
	.read = record_read,
	.write = record_write,
	.resize = record_resize,
	.punch = record_punch,
	.sync = record_sync,
	.extent = record_extent,
	.close = record_close,
};

struct qc_file *record_file_open(struct qc_file *lower, unsigned int number, struct crash_log *log)
{
	struct record_file *r = calloc(1, sizeof(*r));

	must(r);
	r->base = *lower;
	r->base.ops = &record_ops;
	r->lower = lower;
	r->number = number;
	r->log = log;
	return &r->base;
}
