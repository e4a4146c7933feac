// SPDX-License-Identifier: MIT
/* Repairs of images in memory: what is changed, what is not, and what the report says of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "format/bitmap_directory.h"
#include "format/disk_layout.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "io/file_mem.h"
#include "ops/repair.h"
#include "support/under_guard.h"
#include "support/image_builder.h"

static void count_finding(void *context, const struct qc_finding *finding)
{
	(void)finding;
	++*(unsigned int *)context;
}

struct repaired {
	struct qc_repair_report report;
	uint8_t *bytes;		    /* the file now; test_free() */
	unsigned int before, after; /* findings */
	bool same;		    /* not one byte of the file differs */
};

static struct repaired repair(const uint8_t *bytes, size_t length,
			      const struct qc_repair_options *options)
{
	struct repaired ret = {0};
	const struct qc_finding_sink before = {count_finding, &ret.before};
	const struct qc_finding_sink after = {count_finding, &ret.after};
	struct qc_repair_files files = {0};
	struct qc_file *mem;
	struct qc_err err;

	assert_int_equal(qc_file_mem_open(bytes, length, &mem, &err), 0);
	files.image = guard_file_open(mem, mem);
	guard_file_believe_references(files.image);
	for (int i = 0; i < 2; i++)
		assert_int_equal(qc_file_mem_open(NULL, 0, &files.scratch[i], &err), 0);
	assert_int_equal(qc_repair_file(&files, options, &before, &after, &ret.report, &err), 0);
	ret.bytes = test_malloc((size_t)mem->bytes);
	memcpy(ret.bytes, qc_file_mem_bytes(mem), (size_t)mem->bytes);
	ret.same = mem->bytes == length && memcmp(qc_file_mem_bytes(mem), bytes, length) == 0;
	for (int i = 0; i < 2; i++)
		qc_file_close(files.scratch[i]);
	end_guard(files.image);
	qc_file_close(mem);
	return ret;
}

/* A count that is too low, one that is too high and a wrong flag; the unrepairable if asked for. */
static struct builder *damaged(bool hopeless, uint8_t **ret_bytes, size_t *ret_length)
{
	static uint8_t cluster[65536];
	struct builder *b = builder_new(NULL);
	uint64_t at;

	memset(cluster, 0x5a, sizeof(cluster));
	for (uint64_t i = 0; i < 5; i++)
		builder_data(b, i, cluster);
	builder_finish(b, ret_bytes, ret_length);
	builder_poke_refcount(b, builder_host_of(b, 0) >> 16, 0);
	builder_poke_refcount(b, builder_host_of(b, 1) >> 16, 3);
	at = builder_l2_entry_at(b, 2);
	builder_poke64(b, at, builder_peek64(b, at) & ~QC_L2_COPIED);
	if (hopeless) {
		at = builder_l2_entry_at(b, 3);
		builder_poke64(b, at, builder_peek64(b, at) | 2);
	}
	return b;
}

/* One image, and what came of its last repair. */
struct lab {
	struct builder *b;
	uint8_t *bytes;
	size_t length;
	struct repaired repaired;
};

static const struct repaired *lab_repair(struct lab *lab, const struct qc_repair_options *options)
{
	test_free(lab->repaired.bytes);
	lab->repaired = repair(lab->bytes, lab->length, options);
	return &lab->repaired;
}

static struct lab lab_damaged(bool hopeless)
{
	struct lab lab = {.repaired.bytes = test_malloc(1)};

	lab.b = damaged(hopeless, &lab.bytes, &lab.length);
	return lab;
}

static void lab_clear(struct lab *lab)
{
	test_free(lab->repaired.bytes);
	builder_free(lab->b);
}

static const struct qc_repair_options repair_all = {0};
static const struct qc_repair_options repair_leaks = {.leaks_only = true};

static void all_is_repaired_and_checked_again(void **state)
{
	struct lab lab = lab_damaged(false);
	const struct repaired *repaired = lab_repair(&lab, &repair_all);

	(void)state;
	assert_true(repaired->report.changed);
	assert_false(repaired->same);
	assert_true(repaired->report.found.corruptions >= 2);
	assert_int_equal(repaired->report.after.corruptions, 0);
	assert_int_equal(repaired->report.after.leaks, 0);
	assert_true(repaired->before >= 3);
	assert_int_equal(repaired->after, 0);
	lab_clear(&lab);
}

static void a_dry_run_says_the_same_and_changes_no_byte(void **state)
{
	const struct qc_repair_options dry = {.dry_run = true};
	struct lab lab = lab_damaged(false);
	struct qc_repair_report wet = lab_repair(&lab, &repair_all)->report;
	const struct repaired *said = lab_repair(&lab, &dry);

	(void)state;
	assert_true(said->same);
	assert_memory_equal(&wet.found, &said->report.found, sizeof(wet.found));
	assert_memory_equal(&wet.after, &said->report.after, sizeof(wet.after));
	lab_clear(&lab);
}

static void leaks_alone_are_repaired_if_that_is_what_was_asked_for(void **state)
{
	struct lab lab = lab_damaged(false);
	const struct repaired *repaired = lab_repair(&lab, &repair_leaks);

	(void)state;
	assert_true(repaired->report.found.leaks > 0);
	assert_int_equal(repaired->report.after.leaks, 0);
	assert_true(repaired->report.after.corruptions > 0);
	lab_clear(&lab);
}

/* What nothing refers to may be what the broken entry led to. */
static void beside_what_cannot_be_repaired_nothing_is_given_up(void **state)
{
	struct lab lab = lab_damaged(true);
	const struct repaired *repaired = lab_repair(&lab, &repair_all);

	(void)state;
	assert_true(repaired->report.changed);
	assert_int_equal(repaired->report.after.corruptions, 1);
	assert_int_equal(repaired->report.after.leaks, repaired->report.found.leaks);
	lab_clear(&lab);
}

/* A guest can still read them, though there is no count that says so. */
static void clusters_that_broken_entries_lead_to_are_not_written_over(void **state)
{
	static const uint64_t wrong[] = {1, 2, 512}; /* of L1, of L2, unaligned L2 */

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lab lab = lab_damaged(false);
		const struct repaired *repaired;
		uint64_t at;

		builder_poke64(lab.b, builder_header_field(refcount_table_offset),
			       UINT64_C(1) << 32);
		for (uint64_t n = 0; n < 5 && i > 0; n++) {
			at = builder_l2_entry_at(lab.b, n);
			builder_poke64(lab.b, at, builder_peek64(lab.b, at) + wrong[i]);
		}
		at = builder_l1_entry_at(lab.b, 0);
		builder_poke64(lab.b, at, builder_peek64(lab.b, at) + (i == 0 ? wrong[i] : 0));
		repaired = lab_repair(&lab, &repair_all);
		assert_true(repaired->report.changed);
		assert_true(repaired->report.after.corruptions > 0);
		for (uint64_t n = 0; n < 5; n++) {
			at = builder_host_of(lab.b, n) & ~UINT64_C(0xffff);
			assert_memory_equal(repaired->bytes + at, lab.bytes + at, 65536);
		}
		lab_clear(&lab);
	}
}

/* The old image, which a crash may leave, has them for its counts. */
static void blocks_that_broken_entries_lead_to_are_not_written_over(void **state)
{
	static const uint64_t wrong[] = {1, 0x1ff, 512}; /* reserved bits, and an unaligned one */

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lab lab = lab_damaged(false);
		uint64_t at = builder_refcount_table_entry_at(lab.b, 0);
		uint64_t block = builder_peek64(lab.b, at);
		const struct repaired *repaired;

		builder_poke64(lab.b, at, block + wrong[i]);
		repaired = lab_repair(&lab, &repair_all);
		assert_true(repaired->report.changed);
		assert_int_equal(repaired->report.after.corruptions, 0);
		assert_memory_equal(repaired->bytes + block, lab.bytes + block, 65536);
		lab_clear(&lab);
	}
}

/* Nobody knows what is in use: not the counts that are wrong, nor all of them, are made anew. */
static void beside_a_broken_bitmap_table_entry_nothing_is_changed(void **state)
{
	static const uint64_t wrong[] = {2, QC_BITMAP_TABLE_RESERVED, QC_BITMAP_TABLE_ALL_ONES};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lab lab = {.b = builder_new(NULL), .repaired.bytes = test_malloc(1)};
		const struct repaired *repaired;
		uint64_t at;

		builder_bitmap(lab.b, "kept", 16, 0);
		builder_finish(lab.b, &lab.bytes, &lab.length);
		at = builder_bitmap_entry_at(lab.b);
		builder_poke_refcount(lab.b, builder_peek64(lab.b, at) >> 16, 0);
		if (i % 2 != 0)
			builder_poke64(lab.b, builder_header_field(refcount_table_offset),
				       UINT64_C(1) << 32);
		repaired = lab_repair(&lab, &repair_all);
		assert_true(repaired->report.changed);
		builder_poke64(lab.b, at, builder_peek64(lab.b, at) | wrong[i / 2]);
		repaired = lab_repair(&lab, &repair_all);
		assert_false(repaired->report.found.completed);
		assert_true(repaired->same && !repaired->report.changed);
		lab_clear(&lab);
	}
}

/* All the room behind the file is what entries lead to, so that there is none for new tables. */
static void a_file_that_was_cut_short_is_told_of_and_left_as_it_is(void **state)
{
	struct lab lab = lab_damaged(false);
	uint64_t at = builder_l2_entry_at(lab.b, 0);
	const struct repaired *repaired;

	(void)state;
	for (uint64_t i = 5; i < 8192; i++)
		builder_poke64(lab.b, at + i * 8, QC_L2_COPIED | (lab.length + ((i - 5) << 16)));
	repaired = lab_repair(&lab, &repair_all);
	assert_true(repaired->same && !repaired->report.changed);
	assert_int_equal(repaired->report.found.lasting, 8192 - 5);
	assert_memory_equal(&repaired->report.after, &repaired->report.found,
			    sizeof(repaired->report.found));
	lab_clear(&lab);
}

static void a_sound_image_stays_as_it_is(void **state)
{
	struct lab lab = {.b = builder_new(NULL), .repaired.bytes = test_malloc(1)};
	const struct repaired *repaired;

	(void)state;
	builder_finish(lab.b, &lab.bytes, &lab.length);
	repaired = lab_repair(&lab, &repair_all);
	assert_false(repaired->report.changed);
	assert_true(repaired->same);
	assert_int_equal(repaired->before + repaired->after, 0);
	lab_clear(&lab);
}

/* --- entries without data, whose cluster is not aligned --- */

#define IDLE_CLUSTER 1

static struct lab lab_idle(bool extended, unsigned int snapshots, uint64_t unaligned)
{
	static uint8_t cluster[65536];
	struct builder_options options = builder_defaults();
	struct lab lab = {.repaired.bytes = test_malloc(1)};
	static const char *const names[] = {"1", "2", "3"};
	uint64_t at;

	options.extended_l2 = extended;
	lab.b = builder_new(&options);
	memset(cluster, 0x5a, sizeof(cluster));
	builder_data(lab.b, 0, cluster);
	if (extended)
		builder_subclusters(lab.b, IDLE_CLUSTER, cluster, 0, 0xff00);
	else
		builder_zero_alloc(lab.b, IDLE_CLUSTER);
	for (unsigned int i = 0; i < snapshots; i++)
		builder_snapshot(lab.b, names[i], names[i]);
	builder_finish(lab.b, &lab.bytes, &lab.length);
	at = builder_l2_entry_at(lab.b, IDLE_CLUSTER);
	builder_poke64(lab.b, at, builder_peek64(lab.b, at) + unaligned);
	return lab;
}

static uint64_t word_at(const uint8_t *bytes, uint64_t at)
{
	return qc_load_be64(bytes + at);
}

/* Where the disk's L2 table is after the repair, or that of a snapshot (from 1). */
static uint64_t table_now(const struct lab *lab, unsigned int snapshot)
{
	const uint8_t *bytes = lab->repaired.bytes;
	uint64_t at = word_at(bytes, offsetof(struct qc_disk_header, snapshots_offset));
	uint64_t l1;

	if (snapshot == 0)
		at = offsetof(struct qc_disk_header, l1_table_offset);
	/* Of a head, extra data, and an id and a name of one byte each. */
	for (unsigned int i = 1; i < snapshot; i++)
		at += (40 + qc_load_be32(bytes + at + 36) + 2 + 7) / 8 * 8;
	l1 = word_at(bytes, at);
	return word_at(bytes, l1) & QC_L1_OFFSET_MASK;
}

/* The words of the entry that was wrong. */
static const uint8_t *entry_now(const struct lab *lab, unsigned int snapshot)
{
	return lab->repaired.bytes + table_now(lab, snapshot)
	       + IDLE_CLUSTER * builder_geometry(lab->b)->l2_entry_bytes;
}

static void assert_cleared(const struct lab *lab, unsigned int snapshot, bool extended)
{
	assert_int_equal(word_at(entry_now(lab, snapshot), 0), extended ? 0 : QC_L2_ZERO);
	if (extended)
		assert_int_equal(word_at(entry_now(lab, snapshot), 8), UINT64_C(0xff00) << 32);
}

static void assert_sound(const struct repaired *repaired)
{
	assert_true(repaired->report.found.corruptions > 0);
	assert_int_equal(repaired->report.found.lasting, 0);
	assert_int_equal(repaired->report.after.corruptions, 0);
	assert_int_equal(repaired->report.after.leaks, 0);
}

static void an_unaligned_cluster_without_data_is_given_up(void **state)
{
	static const uint64_t unaligned[] = {512, 0x8000, UINT64_C(1) << 40 | 512, 512 | 2};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(unaligned) / sizeof(unaligned[0]); i++) {
		bool extended = i % 2 != 0;
		struct lab lab = lab_idle(extended, 0, unaligned[i / 2]);

		assert_sound(lab_repair(&lab, &repair_all));
		assert_cleared(&lab, 0, extended);
		lab_clear(&lab);
	}
}

static void a_repair_of_leaks_leaves_it_as_it_is(void **state)
{
	struct lab lab = lab_idle(false, 0, 512);

	(void)state;
	assert_true(lab_repair(&lab, &repair_leaks)->same);
	lab_clear(&lab);
}

/* The disk and the snapshots had one table; now the disk has one, and the snapshots another. */
static void it_is_given_up_in_snapshots_that_share_the_table(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		bool extended = i % 2 != 0;
		unsigned int snapshots = 1 + i / 2;
		struct lab lab = lab_idle(extended, snapshots, 512);

		assert_sound(lab_repair(&lab, &repair_all));
		for (unsigned int number = 0; number <= snapshots; number++)
			assert_cleared(&lab, number, extended);
		assert_int_not_equal(table_now(&lab, 0), table_now(&lab, 1));
		assert_int_equal(table_now(&lab, 1), table_now(&lab, snapshots));
		lab_clear(&lab);
	}
}

/* The disk does not lead there any more, and what only it lacked leaks. */
static void it_is_given_up_in_a_table_of_snapshots_alone(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		bool extended = i % 2 != 0;
		unsigned int snapshots = 1 + i / 2;
		struct lab lab = lab_idle(extended, snapshots, 0x8000);

		builder_poke64(lab.b, builder_l1_entry_at(lab.b, 0), 0);
		assert_sound(lab_repair(&lab, &repair_all));
		assert_int_equal(table_now(&lab, 0), 0);
		for (unsigned int number = 1; number <= snapshots; number++)
			assert_cleared(&lab, number, extended);
		lab_clear(&lab);
	}
}

/* One copy serves all places of the disk at which the snapshot shows the table. */
static void a_table_in_many_places_of_a_snapshot_is_copied_once(void **state)
{
	struct builder_options options = builder_defaults();
	struct lab lab = {.repaired.bytes = test_malloc(1)};
	uint64_t at;

	(void)state;
	options.l1_slack = 500;
	lab.b = builder_new(&options);
	builder_zero_alloc(lab.b, IDLE_CLUSTER);
	builder_snapshot(lab.b, "1", "1");
	builder_finish(lab.b, &lab.bytes, &lab.length);
	at = builder_l2_entry_at(lab.b, IDLE_CLUSTER);
	builder_poke64(lab.b, at, builder_peek64(lab.b, at) + 512);
	at = builder_snapshot_l1_entry_at(lab.b, 0, 0);
	for (uint64_t i = 1; i < 400; i++)
		builder_poke64(lab.b, at + i * 8, builder_peek64(lab.b, at));
	assert_sound(lab_repair(&lab, &repair_all));
	assert_cleared(&lab, 1, false);
	assert_true(lab.repaired.report.after.image_end_offset < lab.length + 20 * 65536);
	lab_clear(&lab);
}

/* The disk gets a table of its own; what the snapshot's says stays wrong, and is counted. */
static void it_stays_where_snapshots_lie_on_each_other(void **state)
{
	struct lab lab = lab_idle(false, 2, 512);
	const struct repaired *repaired;

	(void)state;
	/* The second one's L1 table: all of the file, and more. */
	builder_poke32(lab.b, builder_snapshot_entry_at(lab.b, 1) + 8, 1 << 20);
	repaired = lab_repair(&lab, &repair_all);
	assert_true(repaired->report.found.lasting >= 2);
	assert_false(repaired->report.changed && repaired->report.after.corruptions == 0);
	lab_clear(&lab);
}

static void of_many_snapshots_large_tables_are_left_alone(void **state)
{
	struct lab lab = lab_idle(false, 1, 512);
	uint64_t words = (UINT64_C(8) << 20) / 8, l1 = lab.length;
	const struct repaired *repaired;

	(void)state;
	for (unsigned int over = 0; over < 2; over++) {
		size_t length = (size_t)(l1 + (UINT64_C(9) << 20));
		uint8_t *bytes = test_calloc(1, length);

		memcpy(bytes, lab.bytes, lab.length);
		qc_store_be64(bytes + l1,
			      builder_peek64(lab.b, builder_snapshot_l1_entry_at(lab.b, 0, 0)));
		qc_store_be64(bytes + builder_snapshot_entry_at(lab.b, 0), l1);
		qc_store_be32(bytes + builder_snapshot_entry_at(lab.b, 0) + 8,
			      (uint32_t)(words + over));
		test_free(lab.repaired.bytes);
		lab.repaired = repair(bytes, length, &repair_all);
		repaired = &lab.repaired;
		assert_int_equal(repaired->report.found.lasting, over);
		assert_int_equal(repaired->report.after.corruptions, over);
		assert_cleared(&lab, 0, false);
		test_free(bytes);
	}
	lab_clear(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_repaired_and_checked_again),
		cmocka_unit_test(a_dry_run_says_the_same_and_changes_no_byte),
		cmocka_unit_test(leaks_alone_are_repaired_if_that_is_what_was_asked_for),
		cmocka_unit_test(beside_what_cannot_be_repaired_nothing_is_given_up),
		cmocka_unit_test(clusters_that_broken_entries_lead_to_are_not_written_over),
		cmocka_unit_test(blocks_that_broken_entries_lead_to_are_not_written_over),
		cmocka_unit_test(a_file_that_was_cut_short_is_told_of_and_left_as_it_is),
		cmocka_unit_test(beside_a_broken_bitmap_table_entry_nothing_is_changed),
		cmocka_unit_test(a_sound_image_stays_as_it_is),
		cmocka_unit_test(an_unaligned_cluster_without_data_is_given_up),
		cmocka_unit_test(a_repair_of_leaks_leaves_it_as_it_is),
		cmocka_unit_test(it_is_given_up_in_snapshots_that_share_the_table),
		cmocka_unit_test(it_is_given_up_in_a_table_of_snapshots_alone),
		cmocka_unit_test(a_table_in_many_places_of_a_snapshot_is_copied_once),
		cmocka_unit_test(it_stays_where_snapshots_lie_on_each_other),
		cmocka_unit_test(of_many_snapshots_large_tables_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
