// SPDX-License-Identifier: MIT
/*
 * An image and its data file, both in memory, whose changes are written down in one order, so that
 * every state can be made that a crash may leave: of what a file was given since its last sync, any
 * part may be there or not, and each file is on its own.
 */
#pragma once

#include "unit/txn/fixture.h"

enum {
	IMAGE,
	DATA,
	FILES
};

enum op_kind {
	OP_WRITE,
	OP_RESIZE,
	OP_PUNCH,
	OP_SYNC
};

struct op {
	int file;
	enum op_kind kind;
	uint64_t offset, length; /* OP_RESIZE: the new length */
	uint8_t *bytes;
};

#define OPS_MAX 512

struct two_log {
	struct op ops[OPS_MAX];
	size_t count;
	size_t fail_at; /* the change with that number fails; SIZE_MAX: none does */
};

struct recorder {
	struct qc_file base;
	struct qc_file *inner; /* owned */
	struct two_log *log;
	int which;
};

static inline int two_note(struct qc_file *file, enum op_kind kind, uint64_t offset,
			   uint64_t length, const void *bytes, struct qc_err *err)
{
	struct recorder *r = (struct recorder *)file;
	struct op *op = &r->log->ops[r->log->count];

	if (r->log->count == r->log->fail_at) {
		r->log->fail_at = SIZE_MAX;
		return qc_fail(err, QC_E_IO, "the change that had to fail");
	}
	assert_true(r->log->count < OPS_MAX);
	r->log->count++;
	*op = (struct op){r->which, kind, offset, length, NULL};
	if (bytes) {
		op->bytes = malloc((size_t)length);
		assert_non_null(op->bytes);
		memcpy(op->bytes, bytes, (size_t)length);
	}
	return 0;
}

static inline int two_done(struct qc_file *file, int status)
{
	file->bytes = ((struct recorder *)file)->inner->bytes;
	return status;
}

static inline int two_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
			   struct qc_err *err)
{
	return qc_file_read(((struct recorder *)file)->inner, offset, buffer, length, err);
}

static inline int two_write(struct qc_file *file, uint64_t offset, const void *buffer,
			    size_t length, struct qc_err *err)
{
	if (two_note(file, OP_WRITE, offset, length, buffer, err) < 0)
		return -QC_E_IO;
	return two_done(file, qc_file_write(((struct recorder *)file)->inner, offset, buffer,
					    length, err));
}

static inline int two_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	if (two_note(file, OP_RESIZE, 0, bytes, NULL, err) < 0)
		return -QC_E_IO;
	return two_done(file, qc_file_resize(((struct recorder *)file)->inner, bytes, err));
}

static inline int two_punch(struct qc_file *file, uint64_t offset, uint64_t length,
			    struct qc_err *err)
{
	if (two_note(file, OP_PUNCH, offset, length, NULL, err) < 0)
		return -QC_E_IO;
	return qc_file_punch(((struct recorder *)file)->inner, offset, length, err);
}

static inline int two_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	(void)kind;
	return two_note(file, OP_SYNC, 0, 0, NULL, err);
}

static inline int two_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			     uint64_t *ret_length, struct qc_err *err)
{
	return qc_file_extent(((struct recorder *)file)->inner, offset, length, ret_data,
			      ret_length, err);
}

static inline void two_close(struct qc_file *file)
{
	qc_file_close(((struct recorder *)file)->inner);
	free(file);
}

static inline struct qc_file *recorder_open(struct qc_file *take_inner, int which,
					    struct two_log *log)
{
	static const struct qc_file_ops ops = {two_read, two_write,  two_resize, two_punch,
					       two_sync, two_extent, two_close};
	struct recorder *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->base = (struct qc_file){.ops = &ops, .bytes = take_inner->bytes, .writable = true};
	r->inner = take_inner;
	r->log = log;
	r->which = which;
	return &r->base;
}

/* The file in memory itself. */
static inline struct qc_file *recorded(struct qc_file *recorder)
{
	return ((struct recorder *)recorder)->inner;
}

static inline void two_log_clear(struct two_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		free(log->ops[i].bytes);
	*log = (struct two_log){.fail_at = SIZE_MAX};
}

/* --- states --- */

struct content {
	uint8_t *bytes;
	size_t length;
};

static inline struct qc_file *mem_of(const struct content *c)
{
	struct qc_file *file;
	struct qc_err err;

	assert_int_equal(qc_file_mem_open(c->bytes, c->length, &file, &err), 0);
	return file;
}

static inline struct content content_of(const struct qc_file *mem)
{
	struct content c = {malloc((size_t)mem->bytes + 1), (size_t)mem->bytes};

	assert_non_null(c.bytes);
	if (mem->bytes)
		memcpy(c.bytes, qc_file_mem_bytes(mem), c.length);
	return c;
}

static inline void op_apply(const struct op *op, struct qc_file *to)
{
	struct qc_err err;
	int status = 0;

	if (op->kind == OP_WRITE)
		status = qc_file_write(to, op->offset, op->bytes, (size_t)op->length, &err);
	else if (op->kind == OP_RESIZE)
		status = qc_file_resize(to, op->length, &err);
	else if (op->kind == OP_PUNCH)
		status = qc_file_punch(to, op->offset, op->length, &err);
	assert_int_equal(status, 0);
}

/* What became of the changes since the last sync: how many there are is `count`. */
enum fate {
	ALL,
	NONE,
	ALL_BUT,
	ONLY
};

struct choice {
	enum fate fate;
	size_t which; /* of ALL_BUT and ONLY */
};

static inline size_t volatile_ops(const struct two_log *log, size_t crash, int file)
{
	size_t count = 0;

	for (size_t i = 0; i < crash; i++)
		if (log->ops[i].file == file)
			count = log->ops[i].kind == OP_SYNC ? 0 : count + 1;
	return count;
}

/* The file as a crash after the first `crash` operations may leave it. */
static inline struct qc_file *crashed(const struct content *before, const struct two_log *log,
				      size_t crash, int file, struct choice choice)
{
	size_t volatile_count = volatile_ops(log, crash, file), total = 0, seen = 0;
	struct qc_file *mem = mem_of(before);

	for (size_t i = 0; i < crash; i++)
		total += log->ops[i].file == file && log->ops[i].kind != OP_SYNC;
	for (size_t i = 0; i < crash; i++) {
		const struct op *op = &log->ops[i];
		size_t n;

		if (op->file != file || op->kind == OP_SYNC)
			continue;
		n = seen++;
		if (n >= total - volatile_count) {
			n -= total - volatile_count;
			if (choice.fate == NONE || (choice.fate == ALL_BUT && n == choice.which)
			    || (choice.fate == ONLY && n != choice.which))
				continue;
		}
		op_apply(op, mem);
	}
	return mem;
}

/* Calls judge() for every state of both files: while one varies, the other has all or nothing. */
static inline size_t each_state(const struct content before[FILES], const struct two_log *log,
				void (*judge)(void *context, struct qc_file *image,
					      struct qc_file *data, size_t crash),
				void *context)
{
	size_t states = 0;

	for (size_t crash = 0; crash <= log->count; crash++)
		for (int varied = 0; varied < FILES; varied++) {
			size_t n = volatile_ops(log, crash, varied);

			for (size_t k = 0; k < 2 * (2 + 2 * n); k++) {
				size_t c = k / 2;
				struct choice other = {k % 2 ? NONE : ALL, 0};
				struct choice choice =
					c < 2 ? (struct choice){c ? NONE : ALL, 0}
					      : (struct choice){c % 2 ? ONLY : ALL_BUT,
								(c - 2) / 2};
				struct qc_file *files[FILES];

				for (int f = 0; f < FILES; f++)
					files[f] = crashed(&before[f], log, crash, f,
							   f == varied ? choice : other);
				judge(context, files[IMAGE], files[DATA], crash);
				qc_file_close(files[IMAGE]);
				qc_file_close(files[DATA]);
				states++;
			}
		}
	return states;
}
