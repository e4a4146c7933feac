// SPDX-License-Identifier: MIT
/*
 * Decoding takes two passes: the first only follows the lengths and says how far the table goes,
 * so that nothing is allocated or reported for a table of which a part is still missing.
 */
#include "format/snapshot_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/disk_layout.h"
#include "format/limits.h"

#define ENTRY_ALIGNMENT 8u
#define HEAD_BYTES sizeof(struct qc_disk_snapshot)
#define OFFSET_END ((uint64_t)INT64_MAX)

/* Extra data up to and including a field. */
#define EXTRA_END(field)                                                                           \
	(offsetof(struct qc_disk_snapshot_extra, field)                                            \
	 + sizeof(((struct qc_disk_snapshot_extra *)0)->field))

static void load_head(const uint8_t *bytes, uint64_t offset, struct qc_disk_snapshot *ret)
{
	memcpy(ret, bytes + offset, sizeof(*ret));
}

static uint64_t variable_bytes(const struct qc_disk_snapshot *head)
{
	return (uint64_t)qc_be32_get(head->extra_data_size) + qc_be16_get(head->id_size)
	       + qc_be16_get(head->name_size);
}

/*
 * Where the last entry ends, or, if that is not at hand, how many bytes must be for the walk to get
 * further: the entry that is cut off, and the heads of all that follow it.
 */
static int measure(const uint8_t *bytes, size_t length, uint32_t count, uint64_t *ret_end,
		   struct qc_err *err)
{
	struct qc_disk_snapshot head;
	uint64_t end = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t heads_after = (count - i - 1) * (uint64_t)HEAD_BYTES;

		end = qc_align_up(end, ENTRY_ALIGNMENT) + HEAD_BYTES;
		if (end <= length) {
			load_head(bytes, end - HEAD_BYTES, &head);
			if (qc_be32_get(head.extra_data_size) > QC_SNAPSHOT_EXTRA_BYTES_MAX)
				return qc_fail(err, QC_E_FORMAT,
					       "snapshot %" PRIu32 " has %" PRIu32
					       " bytes of extra data, more than %u",
					       i, qc_be32_get(head.extra_data_size),
					       QC_SNAPSHOT_EXTRA_BYTES_MAX);
			end += variable_bytes(&head);
		}
		if (end > length)
			end += heads_after;
		if (end > QC_SNAPSHOT_TABLE_BYTES_MAX)
			return qc_fail(err, QC_E_FORMAT,
				       "the snapshot table has more than %u bytes",
				       QC_SNAPSHOT_TABLE_BYTES_MAX);
		if (end > length)
			break;
	}
	*ret_end = end;
	return 0;
}

static void check_snapshot(const struct qc_geometry *g, const struct qc_snapshot *s, uint32_t index,
			   const struct qc_finding_sink *to)
{
	uint64_t l1_bytes = (uint64_t)s->l1_entries * sizeof(uint64_t);

	if (l1_bytes > QC_L1_BYTES_MAX)
		qc_report(to, QC_FINDING_SNAPSHOT_L1_SIZE,
			  "the L1 table of snapshot %" PRIu32 " has %" PRIu32 " entries", index,
			  s->l1_entries);
	if (!qc_is_aligned(s->l1.byte, g->cluster_bytes)
	    || !qc_range_fits(s->l1.byte, l1_bytes, OFFSET_END)
	    || (qc_host_is_none(s->l1) && l1_bytes > 0))
		qc_report_at(to, QC_FINDING_SNAPSHOT_L1_PLACE, s->l1,
			     "the L1 table of snapshot %" PRIu32 " lies at %" PRIu64
			     ", where it cannot",
			     index, s->l1.byte);
	if (s->has_disk_bytes && s->disk_bytes > QC_DISK_BYTES_MAX)
		qc_report(to, QC_FINDING_SNAPSHOT_MALFORMED,
			  "the disk of snapshot %" PRIu32 " has %" PRIu64 " bytes", index,
			  s->disk_bytes);
	if (g->version >= 3 && !s->has_disk_bytes)
		qc_report(to, QC_FINDING_SNAPSHOT_INCOMPLETE,
			  "snapshot %" PRIu32 " has %" PRIu32 " bytes of extra data, version 3 "
			  "needs %zu",
			  index, s->extra_bytes, EXTRA_END(disk_size));
}

static void take_extra(struct qc_snapshot *s)
{
	struct qc_disk_snapshot_extra extra = {0};

	if (s->extra_bytes == 0)
		return;
	memcpy(&extra, s->extra, (size_t)qc_min(s->extra_bytes, sizeof(extra)));
	if (s->extra_bytes >= EXTRA_END(vm_state_size))
		s->vm_state_bytes = qc_be64_get(extra.vm_state_size);
	if (s->extra_bytes >= EXTRA_END(disk_size)) {
		s->has_disk_bytes = true;
		s->disk_bytes = qc_be64_get(extra.disk_size);
	}
	if (s->extra_bytes >= EXTRA_END(icount)) {
		s->has_icount = true;
		s->icount = qc_be64_get(extra.icount);
	}
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

/* Decodes the entry at *offset, all of which is at hand, and moves behind it. */
static bool take_snapshot(const uint8_t *bytes, uint64_t *offset, struct qc_snapshot *ret)
{
	const uint8_t *tail = bytes + *offset + HEAD_BYTES;
	struct qc_disk_snapshot head;

	load_head(bytes, *offset, &head);
	*ret = (struct qc_snapshot){
		.l1 = qc_host(qc_be64_get(head.l1_table_offset)),
		.l1_entries = qc_be32_get(head.l1_size),
		.id_bytes = qc_be16_get(head.id_size),
		.name_bytes = qc_be16_get(head.name_size),
		.date_sec = qc_be32_get(head.date_sec),
		.date_nsec = qc_be32_get(head.date_nsec),
		.vm_clock_nsec = qc_be64_get(head.vm_clock_nsec),
		.vm_state_bytes = qc_be32_get(head.vm_state_size),
		.extra_bytes = qc_be32_get(head.extra_data_size),
	};
	ret->extra = copy_bytes(tail, ret->extra_bytes);
	ret->id = copy_bytes(tail + ret->extra_bytes, ret->id_bytes);
	ret->name = copy_bytes(tail + ret->extra_bytes + ret->id_bytes, ret->name_bytes);
	if (!ret->extra || !ret->id || !ret->name)
		return false;
	take_extra(ret);
	*offset += HEAD_BYTES + variable_bytes(&head);
	return true;
}

static int take_all(const struct qc_geometry *g, const uint8_t *bytes, uint32_t count,
		    const struct qc_finding_sink *to, struct qc_snapshots *ret, struct qc_err *err)
{
	uint64_t offset = 0;

	ret->list = calloc(count, sizeof(*ret->list));
	if (!ret->list)
		return qc_fail_memory(err);
	for (uint32_t i = 0; i < count; i++) {
		offset = qc_align_up(offset, ENTRY_ALIGNMENT);
		ret->count = i + 1;
		if (!take_snapshot(bytes, &offset, &ret->list[i]))
			return qc_fail_memory(err);
		check_snapshot(g, &ret->list[i], i, to);
	}
	ret->table_bytes = qc_align_up(offset, ENTRY_ALIGNMENT);
	return 0;
}

int qc_snapshots_decode(const struct qc_geometry *g, const uint8_t *bytes, size_t length,
			uint32_t count, const struct qc_finding_sink *to, struct qc_snapshots *ret,
			uint64_t *ret_needed, struct qc_err *err)
{
	QC_CLEANUP(qc_snapshots_clear) struct qc_snapshots found = {0};
	uint64_t needed = 0;
	int status;

	if (count > QC_SNAPSHOTS_MAX)
		return qc_fail(err, QC_E_FORMAT, "%" PRIu32 " snapshots, more than %u", count,
			       QC_SNAPSHOTS_MAX);
	status = measure(bytes, length, count, &needed, err);
	if (status < 0)
		return status;
	if (count > 0 && needed <= length) {
		status = take_all(g, bytes, count, to, &found, err);
		if (status < 0)
			return status;
	}
	*ret_needed = needed;
	*ret = found;
	found = (struct qc_snapshots){0};
	return 0;
}

static uint32_t encoded_extra_bytes(const struct qc_snapshot *s)
{
	uint64_t fields = 0;

	if (s->has_icount)
		fields = EXTRA_END(icount);
	else if (s->has_disk_bytes)
		fields = EXTRA_END(disk_size);
	else if (s->vm_state_bytes > UINT32_MAX)
		fields = EXTRA_END(vm_state_size);
	return (uint32_t)qc_max(fields, s->extra_bytes);
}

static uint64_t encoded_entry_bytes(const struct qc_snapshot *s)
{
	return qc_align_up(HEAD_BYTES + encoded_extra_bytes(s) + s->id_bytes + s->name_bytes,
			   ENTRY_ALIGNMENT);
}

uint64_t qc_snapshots_encoded_bytes(const struct qc_snapshots *snapshots)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < snapshots->count; i++)
		bytes += encoded_entry_bytes(&snapshots->list[i]);
	return bytes;
}

static void put_bytes(uint8_t **to, const void *from, size_t length)
{
	if (length > 0)
		memcpy(*to, from, length);
	*to += length;
}

/* The stored extra data with the known fields written over it, as far as it has them. */
static void put_extra(const struct qc_snapshot *s, uint8_t *to)
{
	uint32_t bytes = encoded_extra_bytes(s);
	struct qc_disk_snapshot_extra extra = {0};

	if (s->extra_bytes > 0)
		memcpy(to, s->extra, s->extra_bytes);
	memcpy(&extra, to, (size_t)qc_min(bytes, sizeof(extra)));
	if (bytes >= EXTRA_END(vm_state_size))
		extra.vm_state_size = qc_be64_make(s->vm_state_bytes);
	if (s->has_disk_bytes)
		extra.disk_size = qc_be64_make(s->disk_bytes);
	if (s->has_icount)
		extra.icount = qc_be64_make(s->icount);
	memcpy(to, &extra, (size_t)qc_min(bytes, sizeof(extra)));
}

static void put_snapshot(const struct qc_snapshot *s, uint8_t *to)
{
	/* Readers of the 32-bit field only must see a snapshot without VM state, not half of it. */
	uint32_t vm_state = s->vm_state_bytes <= UINT32_MAX ? (uint32_t)s->vm_state_bytes : 0;
	struct qc_disk_snapshot head = {
		.l1_table_offset = qc_be64_make(s->l1.byte),
		.l1_size = qc_be32_make(s->l1_entries),
		.id_size = qc_be16_make(s->id_bytes),
		.name_size = qc_be16_make(s->name_bytes),
		.date_sec = qc_be32_make(s->date_sec),
		.date_nsec = qc_be32_make(s->date_nsec),
		.vm_clock_nsec = qc_be64_make(s->vm_clock_nsec),
		.vm_state_size = qc_be32_make(vm_state),
		.extra_data_size = qc_be32_make(encoded_extra_bytes(s)),
	};

	put_bytes(&to, &head, sizeof(head));
	put_extra(s, to);
	to += encoded_extra_bytes(s);
	put_bytes(&to, s->id, s->id_bytes);
	put_bytes(&to, s->name, s->name_bytes);
}

void qc_snapshots_encode(const struct qc_snapshots *snapshots, uint8_t *to)
{
	for (size_t i = 0; i < snapshots->count; i++) {
		const struct qc_snapshot *s = &snapshots->list[i];

		memset(to, 0, (size_t)encoded_entry_bytes(s));
		put_snapshot(s, to);
		to += encoded_entry_bytes(s);
	}
}

void qc_snapshots_clear(struct qc_snapshots *snapshots)
{
	for (size_t i = 0; i < snapshots->count; i++) {
		free(snapshots->list[i].id);
		free(snapshots->list[i].name);
		free(snapshots->list[i].extra);
	}
	free(snapshots->list);
	*snapshots = (struct qc_snapshots){0};
}
