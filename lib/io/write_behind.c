// SPDX-License-Identifier: MIT
#include "io/write_behind.h"

#include <fcntl.h>
#include <time.h>

#include "base/checked.h"
#include "io/file_posix.h"
#include "io/file_posix_impl.h"

#define SEND_BYTES ((uint64_t)1 << 20) /* less is not worth a call; neighbours add up */
#define RESERVE_BYTES ((uint64_t)64 << 20)
#define RESERVE_LEAST_BYTES ((uint64_t)1 << 20)
#define CACHED_BYTES ((uint64_t)128 << 20) /* enough for the storage to be done with the oldest */
#define DROP_BYTES ((uint64_t)16 << 20)	   /* at a time */
#define LONG_NS INT64_C(20000000)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* KEEP_SIZE: the file gets no longer, and what its end says stays true. */
static void reserve(struct qc_write_behind *b, const struct qc_file_posix *p, uint64_t end,
		    uint64_t more)
{
	uint64_t from = qc_max(b->reserved, end);

	if (end < b->file->bytes || more < RESERVE_LEAST_BYTES || from > end + RESERVE_BYTES / 2
	    || end + more <= from)
		return;
	b->reserved = from + qc_min(RESERVE_BYTES, end + more - from);
	(void)fallocate(p->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(b->reserved - from));
}

/* Puts a range together with what came before it; true if they are worth sending. */
static bool gather(struct qc_write_behind *b, uint64_t *offset, uint64_t *length)
{
	if (b->gathered_to != *offset)
		b->gathered_from = *offset;
	b->gathered_to = *offset + *length;
	if (b->gathered_to - b->gathered_from < SEND_BYTES)
		return false;
	*offset = b->gathered_from;
	*length = b->gathered_to - b->gathered_from;
	b->gathered_from = b->gathered_to;
	return true;
}

static void note(struct qc_write_behind *b, uint64_t offset, uint64_t length)
{
	struct qc_write_behind_range *last =
		&b->ranges[(b->first + b->count - 1) % QC_WRITE_BEHIND_RANGES];

	b->cached_bytes += length;
	if (b->count > 0 && last->offset + last->length == offset) {
		last->length += length;
		return;
	}
	if (b->count == QC_WRITE_BEHIND_RANGES) { /* the oldest stays in the cache */
		b->cached_bytes -= b->ranges[b->first].length;
		b->first = (b->first + 1) % QC_WRITE_BEHIND_RANGES;
		b->count--;
	}
	b->ranges[(b->first + b->count) % QC_WRITE_BEHIND_RANGES] =
		(struct qc_write_behind_range){offset, length};
	b->count++;
}

/* Takes up to so many bytes of the oldest range out of the cache. Pages still on their way stay. */
static void drop(struct qc_write_behind *b, const struct qc_file_posix *p, uint64_t most)
{
	struct qc_write_behind_range *oldest = &b->ranges[b->first];
	uint64_t length = qc_min(oldest->length, most);

	(void)posix_fadvise(p->fd, (off_t)oldest->offset, (off_t)length, POSIX_FADV_DONTNEED);
	b->cached_bytes -= length;
	oldest->offset += length;
	oldest->length -= length;
	if (oldest->length == 0) {
		b->first = (b->first + 1) % QC_WRITE_BEHIND_RANGES;
		b->count--;
	}
}

void qc_write_behind_wrote(struct qc_write_behind *behind, uint64_t offset, uint64_t length,
			   uint64_t more)
{
	const struct qc_file_posix *p = qc_file_posix_of(behind->file);
	int64_t begin;

	if (!p || length == 0)
		return;
	reserve(behind, p, offset + length, more);
	if (behind->tired || !gather(behind, &offset, &length))
		return;
	begin = now_ns();
	(void)sync_file_range(p->fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
	note(behind, offset, length);
	while (behind->cached_bytes >= CACHED_BYTES + DROP_BYTES)
		drop(behind, p, behind->cached_bytes - CACHED_BYTES);
	behind->tired = p->no_sync && now_ns() - begin > LONG_NS;
}
