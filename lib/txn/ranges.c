// SPDX-License-Identifier: MIT
#include "txn/ranges.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static uint64_t end_of(const struct qc_range *range)
{
	return range->offset + range->bytes;
}

size_t qc_ranges_find(const struct qc_ranges *ranges, uint64_t offset)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (end_of(&ranges->list[middle]) <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct qc_ranges *ranges, struct qc_err *err)
{
	size_t room = ranges->room ? ranges->room * 2 : 16;
	struct qc_range *grown;

	if (ranges->count < ranges->room)
		return 0;
	grown = reallocarray(ranges->list, room, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	ranges->list = grown;
	ranges->room = room;
	return 0;
}

int qc_ranges_add(struct qc_ranges *ranges, uint64_t offset, uint64_t bytes, struct qc_err *err)
{
	uint64_t end = offset + bytes;
	size_t first, last;
	int status;

	if (bytes == 0)
		return 0;
	if ((status = make_room(ranges, err)) < 0)
		return status;
	/* Those that it touches become one with it. */
	first = offset ? qc_ranges_find(ranges, offset - 1) : 0;
	for (last = first; last < ranges->count && ranges->list[last].offset <= end; last++) {
		offset = qc_min(offset, ranges->list[last].offset);
		end = qc_max(end, end_of(&ranges->list[last]));
	}
	memmove(ranges->list + first + 1, ranges->list + last,
		(ranges->count - last) * sizeof(*ranges->list));
	ranges->list[first] = (struct qc_range){offset, end - offset};
	ranges->count += 1 - (last - first);
	return 0;
}

int qc_ranges_remove(struct qc_ranges *ranges, uint64_t offset, uint64_t bytes, struct qc_err *err)
{
	uint64_t end = offset + bytes;
	size_t i = qc_ranges_find(ranges, offset);
	struct qc_range *range;
	int status;

	while (i < ranges->count && ranges->list[i].offset < end) {
		uint64_t range_end = end_of(&ranges->list[i]);

		if ((status = make_room(ranges, err)) < 0)
			return status;
		range = &ranges->list[i];
		if (range->offset < offset) { /* its start stays */
			range->bytes = offset - range->offset;
			memmove(range + 2, range + 1, (ranges->count - i - 1) * sizeof(*range));
			ranges->count++;
			i++;
			range++;
		}
		if (range_end > end) { /* its end stays */
			*range = (struct qc_range){end, range_end - end};
			return 0;
		}
		memmove(range, range + 1, (ranges->count - i - 1) * sizeof(*range));
		ranges->count--;
	}
	return 0;
}

void qc_ranges_blank(const struct qc_ranges *ranges, uint64_t offset, uint8_t *buffer,
		     size_t length)
{
	for (size_t i = qc_ranges_find(ranges, offset);
	     i < ranges->count && ranges->list[i].offset < offset + length; i++) {
		uint64_t from = qc_max(ranges->list[i].offset, offset);
		uint64_t to = qc_min(end_of(&ranges->list[i]), offset + length);

		memset(buffer + (from - offset), 0, (size_t)(to - from));
	}
}

void qc_ranges_clear(struct qc_ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct qc_ranges){0};
}
