// SPDX-License-Identifier: MIT
/*
 * The walk over all L1 tables and the L2 tables that they lead to. However many L1 tables share an
 * L2 table, it is read once (once for each ROUND_TABLES_MAX tables, to bound memory), in the order of
 * the file, and counts with the weight of all its references.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "check/check_impl.h"
#include "check/spans.h"
#include "format/l1_entry.h"

#define ROUND_TABLES_MAX (UINT64_C(1) << 18)
#define L1_PART_BYTES (UINT64_C(256) << 10)

struct walk {
	struct qc_check *check;
	uint8_t *part; /* of an L1 table */
	uint8_t *l2_bytes;
	struct qc_check_l2 *tables; /* of this round */
	uint64_t count;
	uint64_t room;
};

static int by_offset(const void *a, const void *b)
{
	const struct qc_check_l2 *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->l1_index < y->l1_index ? -1 : x->l1_index > y->l1_index;
}

/* Several references to one table become one with their weight. */
static void merge_tables(struct walk *walk)
{
	uint64_t merged = 0;

	if (walk->count == 0)
		return;
	qsort(walk->tables, (size_t)walk->count, sizeof(*walk->tables), by_offset);
	for (uint64_t i = 1; i < walk->count; i++) {
		struct qc_check_l2 *last = &walk->tables[merged];
		const struct qc_check_l2 *next = &walk->tables[i];

		if (next->offset != last->offset) {
			walk->tables[++merged] = *next;
			continue;
		}
		last->weight += next->weight;
		last->active += next->active;
		last->copied_weight += next->copied_weight;
		last->mendable += next->mendable;
		last->elsewhere += next->elsewhere;
	}
	walk->count = merged + 1;
}

static int read_tables(struct walk *walk, struct qc_err *err)
{
	uint32_t bits = walk->check->geometry.cluster_bits;
	int status = qc_check_plain_tables(walk->check, walk->tables, walk->count, err);

	for (uint64_t i = 0; i < walk->count && status == 0; i++) {
		bool zero;

		if (walk->tables[i].counted)
			continue;
		qc_progress_step(walk->check->options->progress, i << bits, walk->count << bits);
		status = qc_check_read(walk->check, walk->tables[i].offset, walk->l2_bytes,
				       (size_t)walk->check->geometry.cluster_bytes, &zero, err);
		if (status == 0 && !zero)
			status = qc_check_l2_entries(walk->check, &walk->tables[i], walk->l2_bytes,
						     err);
	}
	qc_progress_step(walk->check->options->progress, walk->count << bits, walk->count << bits);
	walk->count = 0;
	return status;
}

static int grow_tables(struct walk *walk, struct qc_err *err)
{
	uint64_t room = walk->room ? walk->room * 2 : 1024;
	struct qc_check_l2 *grown = reallocarray(walk->tables, (size_t)room, sizeof(*grown));

	if (!grown)
		return qc_fail_memory(err);
	walk->tables = grown;
	walk->room = room;
	return 0;
}

static int add_table(struct walk *walk, const struct qc_check_l2 *table, struct qc_err *err)
{
	int status = 0;

	if (walk->count == ROUND_TABLES_MAX) {
		merge_tables(walk);
		/* If merging did not make much room, the round is over. */
		if (walk->count > ROUND_TABLES_MAX / 2)
			status = read_tables(walk, err);
	}
	if (status == 0 && walk->count == walk->room)
		status = grow_tables(walk, err);
	if (status == 0)
		walk->tables[walk->count++] = *table;
	return status;
}

/* Checks the COPIED flag of an active L1 entry; *ret_known: those of its L2 entries can be, too. */
static int check_copied(struct qc_check *check, uint64_t index, uint64_t entry,
			const struct qc_check_place *place, bool *ret_known, struct qc_err *err)
{
	struct qc_host table = qc_l1_table_of(entry);
	uint64_t refcount;
	int status;

	*ret_known = false;
	if (qc_host_is_none(table))
		return 0;
	status = qc_stored_get(check, qc_host_cluster(&check->geometry, table), ret_known,
			       &refcount, err);
	if (status == 0 && *ret_known && (refcount == 1) != ((entry & QC_L1_COPIED) != 0))
		qc_check_report(check, QC_FINDING_COPIED_L2_TABLE, 1, table, place,
				"OFLAG_COPIED L2 cluster: l1_index=%" PRIu64 " l1_entry=%" PRIx64
				" refcount=%" PRIu64,
				index, entry, refcount);
	return status;
}

static struct qc_check_place place_of(const struct qc_check *check, uint32_t owner, uint64_t index)
{
	struct qc_check_place place = qc_check_place_of(check, owner);

	place.has_guest = true;
	place.guest = qc_guest(index * check->geometry.l2_span_bytes);
	return place;
}

static int take_l1_entry(struct walk *walk, const struct qc_stretch *stretch, uint64_t at,
			 uint64_t entry, struct qc_err *err)
{
	struct qc_check *check = walk->check;
	const struct qc_geometry *g = &check->geometry;
	struct qc_check_l2 table = {
		.offset = entry & QC_L1_OFFSET_MASK,
		.weight = stretch->weight,
		.active = stretch->active,
		.l1_index = (at - stretch->cover->start) / sizeof(uint64_t),
		.owner = stretch->cover->owner,
	};
	struct qc_check_place place = place_of(check, table.owner, table.l1_index);
	bool known = false;
	int status;

	if (entry & QC_L1_RESERVED)
		qc_check_report(check, QC_FINDING_L1_RESERVED, table.weight, qc_host(at), &place,
				"found L1 entry with reserved bits set: %" PRIx64, entry);
	qc_check_claim_for(check, QC_CLAIM_L2, table.active > 0);
	status = qc_check_count(check, table.offset, g->cluster_bytes, table.weight, &place, err);
	if (status < 0)
		return status;
	if (!qc_is_aligned(table.offset, g->cluster_bytes))
		qc_check_report(check, QC_FINDING_L1_UNALIGNED, table.weight, qc_host(at), &place,
				"l2_offset=%" PRIx64 ": table is not cluster aligned; L1 entry "
				"corrupted",
				table.offset);
	if (table.active && !check->subject)
		status = check_copied(check, table.l1_index, entry, &place, &known, err);
	table.copied_weight = known ? table.active : 0;
	if ((entry & QC_L1_RESERVED) == 0 && qc_is_aligned(table.offset, g->cluster_bytes)
	    && table.offset < check->file->bytes) {
		table.mendable = table.active;
		table.elsewhere = table.weight - table.active;
	}
	return status < 0 ? status : add_table(walk, &table, err);
}

static int take_l1_stretch(void *context, const struct qc_stretch *stretch, struct qc_err *err)
{
	struct walk *walk = context;
	int status = 0;

	for (uint64_t at = stretch->start; at < stretch->end && status == 0;) {
		uint64_t bytes = qc_min(L1_PART_BYTES, stretch->end - at);
		bool zero;

		status = qc_check_read(walk->check, at, walk->part, (size_t)bytes, &zero, err);
		for (uint64_t i = 0; i < bytes && status == 0 && !zero; i += sizeof(uint64_t)) {
			uint64_t entry = qc_load_be64(walk->part + i);

			if (entry != 0)
				status = take_l1_entry(walk, stretch, at + i, entry, err);
		}
		at += bytes;
	}
	return status;
}

static int count_stretch(void *context, const struct qc_stretch *stretch, struct qc_err *err)
{
	struct qc_check *check = context;
	struct qc_check_place place = place_of(check, stretch->cover->owner, 0);

	place.has_guest = false;
	qc_check_claim_for(check, QC_CLAIM_L1, stretch->active > 0);
	return qc_check_count_clusters(check, stretch->start >> check->geometry.cluster_bits,
				       stretch->end >> check->geometry.cluster_bits,
				       stretch->weight, &place, err);
}

/* Counts the clusters of the tables themselves, of those that lie inside the file. */
static int count_l1_tables(struct qc_check *check, const struct qc_span *spans, size_t count,
			   struct qc_err *err)
{
	QC_AUTOFREE struct qc_span *inside = calloc(count + 1, sizeof(*inside));
	size_t used = 0;

	if (!inside)
		return qc_fail_memory(err);
	for (size_t i = 0; i < count; i++) {
		struct qc_check_place place = place_of(check, spans[i].owner, 0);

		place.has_guest = false;
		if (!qc_check_is_inside(check, spans[i].start, spans[i].end - spans[i].start, 1,
					&place))
			continue;
		inside[used] = spans[i];
		inside[used].end = qc_align_up(spans[i].end, check->geometry.cluster_bytes);
		used++;
	}
	return qc_spans_sweep(inside, used, count_stretch, check, err);
}

/* Whether the L1 table of a snapshot can be walked; what is wrong with it is reported. */
static bool snapshot_has_table(struct qc_check *check, uint32_t number)
{
	const struct qc_snapshot *snapshot = &check->snapshots.list[number - 1];
	const struct qc_check_place place = qc_check_place_of(check, qc_check_owner(check, number));
	uint64_t bytes = (uint64_t)snapshot->l1_entries * sizeof(uint64_t);

	if (!qc_is_aligned(snapshot->l1.byte, check->geometry.cluster_bytes)) {
		qc_check_report(check, QC_FINDING_SNAPSHOT_L1_PLACE, 1, snapshot->l1, &place,
				"snapshot %s (%s) l1_offset=%#" PRIx64
				": L1 table is not cluster aligned; snapshot table entry corrupted",
				snapshot->id, snapshot->name, snapshot->l1.byte);
		return false;
	}
	if (bytes > QC_L1_BYTES_MAX) {
		qc_check_report(check, QC_FINDING_SNAPSHOT_L1_SIZE, 1, snapshot->l1, &place,
				"snapshot %s (%s) l1_size=%#" PRIx32
				": L1 table is too large; snapshot table entry corrupted",
				snapshot->id, snapshot->name, snapshot->l1_entries);
		return false;
	}
	if (bytes > 0 && !qc_range_fits(snapshot->l1.byte, bytes, QC_CHECK_READABLE_END)) {
		qc_check_give_up(check, QC_FINDING_SNAPSHOT_L1_PLACE, snapshot->l1,
				 "snapshot %s (%s) l1_offset=%#" PRIx64
				 ": L1 table ends beyond every file",
				 snapshot->id, snapshot->name, snapshot->l1.byte);
		return false;
	}
	return bytes > 0;
}

static size_t list_l1_tables(struct qc_check *check, struct qc_span *spans)
{
	uint64_t start = check->header.l1.byte;
	size_t count = 0;

	if (check->header.l1_entries > 0)
		spans[count++] = (struct qc_span){
			start, start + (uint64_t)check->header.l1_entries * sizeof(uint64_t),
			qc_check_owner(check, 0)};
	for (uint32_t number = 1; number <= check->snapshots.count && !check->gave_up; number++) {
		const struct qc_snapshot *snapshot = &check->snapshots.list[number - 1];

		start = snapshot->l1.byte;
		if (snapshot_has_table(check, number))
			spans[count++] = (struct qc_span){
				start, start + (uint64_t)snapshot->l1_entries * sizeof(uint64_t),
				qc_check_owner(check, number)};
	}
	return count;
}

int qc_check_walk(struct qc_check *check, struct qc_err *err)
{
	QC_AUTOFREE struct qc_span *spans = calloc(check->snapshots.count + 1, sizeof(*spans));
	struct walk walk = {.check = check};
	size_t count;
	int status;

	walk.part = malloc(L1_PART_BYTES);
	walk.l2_bytes = malloc((size_t)check->geometry.cluster_bytes);
	if (!spans || !walk.part || !walk.l2_bytes) {
		status = qc_fail_memory(err);
		goto out;
	}
	count = list_l1_tables(check, spans);
	status = check->gave_up ? 0 : count_l1_tables(check, spans, count, err);
	if (status == 0 && !check->gave_up)
		status = qc_spans_sweep(spans, count, take_l1_stretch, &walk, err);
	merge_tables(&walk);
	if (status == 0)
		status = read_tables(&walk, err);
out:
	free(walk.tables);
	free(walk.l2_bytes);
	free(walk.part);
	return status;
}
