// SPDX-License-Identifier: MIT
#include "crash/log.h"

#include <string.h>

#include "base/checked.h"
#include "crash/must.h"

void crash_log_add(struct crash_log *log, enum crash_kind kind, uint64_t offset, uint64_t length,
		   const uint8_t *bytes)
{
	crash_log_add_to(log, 0, kind, offset, length, bytes);
}

void crash_log_add_to(struct crash_log *log, unsigned int file, enum crash_kind kind,
		      uint64_t offset, uint64_t length, const uint8_t *bytes)
{
	struct crash_op *op;

	if (log->count == log->room) {
		log->room = log->room ? 2 * log->room : 64;
		log->ops = reallocarray(log->ops, log->room, sizeof(*log->ops));
		must(log->ops);
	}
	op = &log->ops[log->count++];
	*op = (struct crash_op){kind, file, offset, length, NULL};
	if (bytes) {
		op->bytes = malloc((size_t)length);
		must(op->bytes);
		memcpy(op->bytes, bytes, (size_t)length);
	}
}

void crash_log_append(struct crash_log *log, const struct crash_log *from, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		crash_log_add_to(log, from->ops[i].file, from->ops[i].kind, from->ops[i].offset,
				 from->ops[i].length, from->ops[i].bytes);
}

void crash_log_clear(struct crash_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		free(log->ops[i].bytes);
	free(log->ops);
	*log = (struct crash_log){0};
}

size_t crash_log_flip(const struct crash_log *log, size_t from)
{
	while (from < log->count
	       && (log->ops[from].kind != CRASH_WRITE || log->ops[from].file != 0
		   || log->ops[from].offset != 0))
		from++;
	return from;
}

size_t crash_log_sync(const struct crash_log *log, size_t from)
{
	while (from < log->count && log->ops[from].kind != CRASH_SYNC)
		from++;
	return from;
}

size_t crash_log_durable(const struct crash_log *log, size_t from)
{
	size_t sync = crash_log_sync(log, from);

	while (sync < log->count && log->ops[sync].file != 0)
		sync = crash_log_sync(log, sync + 1);
	return sync < log->count ? sync + 1 : SIZE_MAX;
}

size_t crash_log_doubt(const struct crash_log *log, size_t issued, size_t *ret)
{
	size_t durable[CRASH_FILES] = {0}, count = 0;

	for (size_t i = 0; i < issued; i++)
		if (log->ops[i].kind == CRASH_SYNC)
			durable[log->ops[i].file] = i + 1;
	for (size_t i = 0; i < issued; i++)
		if (i >= durable[log->ops[i].file])
			ret[count++] = i;
	return count;
}

static void resize(struct image_bytes *image, uint64_t size)
{
	image->bytes = realloc(image->bytes, (size_t)size);
	must(image->bytes);
	if (size > image->size)
		memset(image->bytes + image->size, 0, (size_t)(size - image->size));
	image->size = size;
}

void crash_log_apply(const struct crash_log *log, size_t first, size_t end,
		     struct image_bytes *image)
{
	for (size_t i = first; i < end; i++) {
		const struct crash_op *op = &log->ops[i];

		if (op->kind == CRASH_WRITE) {
			if (op->offset + op->length > image->size)
				resize(image, op->offset + op->length);
			memcpy(image->bytes + op->offset, op->bytes, (size_t)op->length);
		} else if (op->kind == CRASH_RESIZE) {
			resize(image, op->length);
		} else if (op->kind == CRASH_PUNCH && op->offset < image->size) {
			memset(image->bytes + op->offset, 0,
			       (size_t)qc_min(op->length, image->size - op->offset));
		}
	}
}
