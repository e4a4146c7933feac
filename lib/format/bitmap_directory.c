// SPDX-License-Identifier: MIT
#include "format/bitmap_directory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/disk_layout.h"
#include "format/limits.h"

#define ENTRY_ALIGNMENT 8u
#define HEAD_BYTES sizeof(struct qc_disk_bitmap)
#define TYPE_DIRTY_TRACKING 1
#define TABLE_ENTRIES_MAX UINT32_C(0x8000000) /* QEMU's: 1 GiB of table */
#define OFFSET_END ((uint64_t)INT64_MAX)

/* What is wrong with an entry; NULL if nothing is. */
static const char *fault_of(const struct qc_bitmap *b)
{
	if (b->type != TYPE_DIRTY_TRACKING)
		return "unknown type";
	if (b->flags & ~QC_BITMAP_FLAGS_KNOWN)
		return "unknown flags";
	if (b->granularity_bits < QC_BITMAP_GRANULARITY_BITS_MIN
	    || b->granularity_bits > QC_BITMAP_GRANULARITY_BITS_MAX)
		return "impossible granularity";
	if (b->name_bytes == 0 || b->name_bytes > QC_BITMAP_NAME_BYTES_MAX)
		return "impossible length of its name";
	if (b->table_entries == 0 || b->table_entries > TABLE_ENTRIES_MAX)
		return "impossible size of its table";
	if (qc_host_is_none(b->table) || !qc_is_aligned(b->table.byte, 1u << QC_CLUSTER_BITS_MIN)
	    || !qc_range_fits(b->table.byte, (uint64_t)b->table_entries * sizeof(uint64_t),
			      OFFSET_END))
		return "impossible place of its table";
	return NULL;
}

/* A copy with a zero behind it; NULL if memory runs out. */
static void *copy_bytes(const uint8_t *from, size_t length)
{
	uint8_t *copy = malloc(length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, from, length);
	copy[length] = 0;
	return copy;
}

/* Extra data comes before the name; both are at hand. */
static bool take_bitmap(const struct qc_disk_bitmap *head, const uint8_t *tail,
			struct qc_bitmap *ret)
{
	*ret = (struct qc_bitmap){
		.table = qc_host(qc_be64_get(head->bitmap_table_offset)),
		.table_entries = qc_be32_get(head->bitmap_table_size),
		.flags = qc_be32_get(head->flags),
		.type = head->type,
		.granularity_bits = head->granularity_bits,
		.name_bytes = qc_be16_get(head->name_size),
		.extra_bytes = qc_be32_get(head->extra_data_size),
	};
	ret->extra = copy_bytes(tail, ret->extra_bytes);
	ret->name = copy_bytes(tail + ret->extra_bytes, ret->name_bytes);
	return ret->extra && ret->name;
}

static int take_next(const uint8_t *bytes, size_t length, uint64_t *offset, struct qc_bitmap *ret,
		     struct qc_err *err)
{
	struct qc_disk_bitmap head;
	uint64_t entry_bytes;

	if (!qc_range_fits(*offset, HEAD_BYTES, length))
		return qc_fail(err, QC_E_FORMAT, "the bitmap directory ends early");
	memcpy(&head, bytes + *offset, sizeof(head));
	entry_bytes = qc_align_up(HEAD_BYTES + (uint64_t)qc_be32_get(head.extra_data_size)
					  + qc_be16_get(head.name_size),
				  ENTRY_ALIGNMENT);
	if (!qc_range_fits(*offset, entry_bytes, length))
		return qc_fail(err, QC_E_FORMAT, "the bitmap directory ends early");
	if (!take_bitmap(&head, bytes + *offset + HEAD_BYTES, ret))
		return qc_fail_memory(err);
	*offset += entry_bytes;
	return 0;
}

int qc_bitmaps_decode(const uint8_t *bytes, size_t length, uint32_t count,
		      const struct qc_finding_sink *to, struct qc_bitmaps *ret, struct qc_err *err)
{
	QC_CLEANUP(qc_bitmaps_clear) struct qc_bitmaps found = {0};
	uint64_t offset = 0;

	if (count > length / HEAD_BYTES)
		return qc_fail(err, QC_E_FORMAT, "the bitmap directory ends early");
	found.list = calloc(count ? count : 1, sizeof(*found.list));
	if (!found.list)
		return qc_fail_memory(err);
	for (uint32_t i = 0; i < count; i++) {
		struct qc_bitmap *bitmap = &found.list[i];
		const char *fault;
		int status;

		found.count = i + 1;
		status = take_next(bytes, length, &offset, bitmap, err);
		if (status < 0)
			return status;
		fault = fault_of(bitmap);
		if (fault)
			qc_report_at(to, QC_FINDING_BITMAPS_MALFORMED, bitmap->table,
				     "bitmap '%s': %s", bitmap->name, fault);
	}
	if (offset != length)
		return qc_fail(err, QC_E_FORMAT, "the bitmap directory has bytes left over");
	*ret = found;
	found = (struct qc_bitmaps){0};
	return 0;
}

static uint64_t encoded_entry_bytes(const struct qc_bitmap *b)
{
	return qc_align_up(HEAD_BYTES + (uint64_t)b->extra_bytes + b->name_bytes, ENTRY_ALIGNMENT);
}

uint64_t qc_bitmaps_encoded_bytes(const struct qc_bitmaps *bitmaps)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < bitmaps->count; i++)
		bytes += encoded_entry_bytes(&bitmaps->list[i]);
	return bytes;
}

static void put_bitmap(const struct qc_bitmap *b, uint8_t *to)
{
	struct qc_disk_bitmap head = {
		.bitmap_table_offset = qc_be64_make(b->table.byte),
		.bitmap_table_size = qc_be32_make(b->table_entries),
		.flags = qc_be32_make(b->flags),
		.type = b->type,
		.granularity_bits = b->granularity_bits,
		.name_size = qc_be16_make(b->name_bytes),
		.extra_data_size = qc_be32_make(b->extra_bytes),
	};

	memcpy(to, &head, sizeof(head));
	to += sizeof(head);
	if (b->extra_bytes > 0)
		memcpy(to, b->extra, b->extra_bytes);
	to += b->extra_bytes;
	if (b->name_bytes > 0)
		memcpy(to, b->name, b->name_bytes);
}

void qc_bitmaps_encode(const struct qc_bitmaps *bitmaps, uint8_t *to)
{
	for (size_t i = 0; i < bitmaps->count; i++) {
		memset(to, 0, (size_t)encoded_entry_bytes(&bitmaps->list[i]));
		put_bitmap(&bitmaps->list[i], to);
		to += encoded_entry_bytes(&bitmaps->list[i]);
	}
}

void qc_bitmaps_clear(struct qc_bitmaps *bitmaps)
{
	for (size_t i = 0; i < bitmaps->count; i++) {
		free(bitmaps->list[i].name);
		free(bitmaps->list[i].extra);
	}
	free(bitmaps->list);
	*bitmaps = (struct qc_bitmaps){0};
}
