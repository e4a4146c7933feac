// SPDX-License-Identifier: MIT
#include "crash/buffer_file.h"

#include <string.h>

#include "crash/must.h"

static struct buffer_file *buffer(struct qc_file *file)
{
	return (struct buffer_file *)file;
}

static void reserve(struct buffer_file *b, uint64_t bytes)
{
	if (bytes <= b->room)
		return;
	b->room = (size_t)bytes * 2;
	b->bytes = realloc(b->bytes, b->room);
	must(b->bytes);
}

static int buffer_read(struct qc_file *file, uint64_t offset, void *to, size_t length,
		       struct qc_err *err)
{
	(void)err;
	if (buffer(file)->sight)
		sight_read(buffer(file)->sight, buffer(file)->number, offset, length);
	memcpy(to, buffer(file)->bytes + offset, length);
	return 0;
}

static int buffer_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	(void)err;
	if (buffer(file)->sight)
		sight_resize(buffer(file)->sight, buffer(file)->number, bytes);
	reserve(buffer(file), bytes);
	if (bytes > file->bytes)
		memset(buffer(file)->bytes + file->bytes, 0, (size_t)(bytes - file->bytes));
	file->bytes = bytes;
	return 0;
}

static int buffer_write(struct qc_file *file, uint64_t offset, const void *from, size_t length,
			struct qc_err *err)
{
	if (offset + length > file->bytes)
		buffer_resize(file, offset + length, err);
	if (buffer(file)->sight)
		sight_change(buffer(file)->sight, buffer(file)->number, offset, length);
	memcpy(buffer(file)->bytes + offset, from, length);
	return 0;
}

static int buffer_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	(void)err;
	if (buffer(file)->sight)
		sight_change(buffer(file)->sight, buffer(file)->number, offset, length);
	memset(buffer(file)->bytes + offset, 0, (size_t)length);
	return 0;
}

static int buffer_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	(void)file, (void)kind, (void)err;
	return 0;
}

static int buffer_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
			 uint64_t *ret_length, struct qc_err *err)
{
	(void)file, (void)offset, (void)err;
	*ret_data = true;
	*ret_length = length;
	return 0;
}

static void buffer_close(struct qc_file *file)
{
	(void)file; /* see buffer_file_clear() */
}

static const struct qc_file_ops buffer_ops = {
	.read = buffer_read,
	.write = buffer_write,
	.resize = buffer_resize,
	.punch = buffer_punch,
	.sync = buffer_sync,
	.extent = buffer_extent,
	.close = buffer_close,
};

void buffer_file_init(struct buffer_file *file)
{
	*file = (struct buffer_file){.base = {.ops = &buffer_ops, .writable = true}};
}

void buffer_file_clear(struct buffer_file *file)
{
	if (!file->borrowed)
		free(file->bytes);
	buffer_file_init(file);
}

void buffer_file_set(struct buffer_file *file, const uint8_t *bytes, uint64_t length)
{
	must(!file->borrowed);
	reserve(file, length);
	memcpy(file->bytes, bytes, (size_t)length);
	file->base.bytes = length;
}

void buffer_file_show(struct buffer_file *file, const uint8_t *bytes, uint64_t length)
{
	must(file->borrowed || !file->bytes);
	buffer_file_init(file);
	file->borrowed = true;
	file->bytes = (uint8_t *)(uintptr_t)bytes;
	file->base.bytes = length;
	file->base.writable = false;
}
