// SPDX-License-Identifier: MIT
/*
 * The bytes lie in one anonymous mapping: contiguous as qc_file_mem_bytes() promises, and yet
 * sparse, so that a test can build an image of many gigabytes out of a few pages.
 *
 * Whatever lies in the mapping past base.bytes is zero: growing is then only a matter of length.
 */
#include "io/file_mem.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include <stdlib.h>

/* Enough for every test, and not where the address space ends. */
#define MEM_BYTES_MAX (UINT64_C(1) << (sizeof(size_t) > 4 ? 44 : 31))

struct qc_file_mem {
	struct qc_file base;
	uint8_t *bytes;	 /* NULL while capacity is 0 */
	size_t capacity; /* whole pages */
};

static struct qc_file_mem *mem(struct qc_file *file)
{
	return (struct qc_file_mem *)file;
}

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int reserve(struct qc_file_mem *m, uint64_t bytes, struct qc_err *err)
{
	size_t capacity;
	void *at;

	if (bytes <= m->capacity)
		return 0;
	if (bytes > MEM_BYTES_MAX)
		return qc_fail_memory(err);
	/* Doubling, so that appending byte by byte does not move the mapping each time. */
	bytes = qc_max(bytes, qc_min((uint64_t)m->capacity * 2, MEM_BYTES_MAX));
	capacity = (size_t)qc_align_up(bytes, page_bytes());
	if (m->bytes)
		at = mremap(m->bytes, m->capacity, capacity, MREMAP_MAYMOVE);
	else
		at = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return qc_fail_memory(err);
	m->bytes = at;
	m->capacity = capacity;
	return 0;
}

/* Zeroes a range of the mapping and gives its whole pages back. */
static void wipe(struct qc_file_mem *m, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	uint64_t first = qc_align_up(offset, page_bytes());
	uint64_t last = qc_align_down(end, page_bytes());

	if (first >= last || madvise(m->bytes + first, (size_t)(last - first), MADV_DONTNEED) < 0) {
		memset(m->bytes + offset, 0, (size_t)length);
		return;
	}
	memset(m->bytes + offset, 0, (size_t)(first - offset));
	memset(m->bytes + last, 0, (size_t)(end - last));
}

static int mem_read(struct qc_file *file, uint64_t offset, void *buffer, size_t length,
		    struct qc_err *err)
{
	(void)err;
	memcpy(buffer, mem(file)->bytes + offset, length);
	return 0;
}

static int mem_write(struct qc_file *file, uint64_t offset, const void *buffer, size_t length,
		     struct qc_err *err)
{
	if (reserve(mem(file), offset + length, err) < 0)
		return -(int)err->code;
	memcpy(mem(file)->bytes + offset, buffer, length);
	file->bytes = qc_max(file->bytes, offset + length);
	return 0;
}

static int mem_resize(struct qc_file *file, uint64_t bytes, struct qc_err *err)
{
	if (reserve(mem(file), bytes, err) < 0)
		return -(int)err->code;
	if (bytes < file->bytes)
		wipe(mem(file), bytes, file->bytes - bytes);
	file->bytes = bytes;
	return 0;
}

static int mem_punch(struct qc_file *file, uint64_t offset, uint64_t length, struct qc_err *err)
{
	(void)err;
	wipe(mem(file), offset, length);
	return 0;
}

static int mem_sync(struct qc_file *file, enum qc_sync kind, struct qc_err *err)
{
	(void)file, (void)kind, (void)err;
	return 0;
}

static int mem_extent(struct qc_file *file, uint64_t offset, uint64_t length, bool *ret_data,
		      uint64_t *ret_length, struct qc_err *err)
{
	(void)file, (void)offset, (void)err;
	*ret_data = true;
	*ret_length = length;
	return 0;
}

static void mem_close(struct qc_file *file)
{
	if (mem(file)->bytes)
		munmap(mem(file)->bytes, mem(file)->capacity);
	free(file);
}

static const struct qc_file_ops mem_ops = {
	.read = mem_read,
	.write = mem_write,
	.resize = mem_resize,
	.punch = mem_punch,
	.sync = mem_sync,
	.extent = mem_extent,
	.close = mem_close,
};

int qc_file_mem_open(const void *bytes, size_t length, struct qc_file **ret, struct qc_err *err)
{
	struct qc_file_mem *m = calloc(1, sizeof(*m));

	if (!m)
		return qc_fail_memory(err);
	m->base = (struct qc_file){.ops = &mem_ops, .writable = true};
	if (reserve(m, length, err) < 0) {
		mem_close(&m->base);
		return -(int)err->code;
	}
	if (bytes && length > 0)
		memcpy(m->bytes, bytes, length);
	m->base.bytes = length;
	*ret = &m->base;
	return 0;
}

const uint8_t *qc_file_mem_bytes(const struct qc_file *file)
{
	return ((const struct qc_file_mem *)file)->bytes;
}
