// SPDX-License-Identifier: MIT
/*
 * An edit opens its files by name, so no guard can stand between it and them. What it did is in the
 * log: that is done once more, to copies, under a guard.
 */
#include "crash/promises.h"

#include <string.h>

#include "crash/buffer_file.h"
#include "crash/must.h"
#include "support/guard_file.h"

static char violation[256];

const char *promises_close(struct qc_file *guard)
{
	const char *what = guard_violation(guard);

	if (what)
		snprintf(violation, sizeof(violation), "%s", what);
	qc_file_close(guard);
	return what ? violation : NULL;
}

static int repeat(struct qc_file *file, const struct crash_op *op)
{
	struct qc_err err;

	switch (op->kind) {
	case CRASH_WRITE:
		return qc_file_write(file, op->offset, op->bytes, (size_t)op->length, &err);
	case CRASH_RESIZE:
		return qc_file_resize(file, op->length, &err);
	case CRASH_PUNCH:
		return qc_file_punch(file, op->offset, op->length, &err);
	case CRASH_SYNC:
		return qc_file_sync(file, (enum qc_sync)op->offset, &err);
	}
	return 0;
}

static void repeat_all(const struct promises *p, struct qc_file *const files[CRASH_FILES])
{
	for (size_t i = p->first; i < p->log->count; i++) {
		const struct crash_op *op = &p->log->ops[i];

		if (p->flip_cut && op->file == 0 && op->kind == CRASH_WRITE && op->offset == 0)
			return;
		if (repeat(files[op->file], op) < 0)
			return;
	}
}

/* A copy that is used again by the next call. */
static struct qc_file *copy_of(const struct promises *p, unsigned int number)
{
	static struct buffer_file copies[CRASH_FILES];
	const struct image_bytes *bytes = number == 0 ? p->image : p->data;
	struct buffer_file *copy = &copies[number];

	if (!copy->base.ops)
		buffer_file_init(copy);
	buffer_file_set(copy, bytes->bytes, bytes->size);
	copy->sight = p->sight;
	copy->number = number;
	return &copy->base;
}

const char *promises_kept(const struct promises *p)
{
	struct qc_file *image = copy_of(p, 0);
	struct qc_file *guards[CRASH_FILES] = {guard_file_open(image, image)};

	if (p->sight)
		sight_restart(p->sight);
	if (p->damaged)
		guard_file_believe_references(guards[0]);
	if (p->data)
		guards[1] = guard_file_open_data(copy_of(p, 1), guards[0]);
	repeat_all(p, guards);
	qc_file_close(guards[1]);
	return promises_close(guards[0]);
}
