// SPDX-License-Identifier: MIT
/* Entries that share: what must stay one cluster, and what is refused. */
#include "unit/txn/fixture.h"

#include "codec/codec.h"
#include "format/l1_entry.h"
#include "format/refcount_entry.h"
#include "image/image.h"
#include "txn/fill.h"
#include "txn/forest_impl.h"
#include "txn/txn_state.h"

/*
 * Inflates all that comes up, one after the other. So many entries are looked at together: the fewer,
 * the more often what is shared comes up again.
 */
static int expand_in_windows(struct rig *r, uint64_t most, size_t items_max)
{
	size_t cluster = (size_t)r->image->geometry.cluster_bytes, count;
	struct qc_forest_extent *extents;
	struct qc_codec *codec;
	uint8_t *bytes = malloc(cluster), *packed = malloc(2 * cluster);
	int status;

	assert_int_equal(qc_codec_open(r->image->header.compression, &codec, &r->err), 0);
	status = qc_forest_open(r->txn, 0, UINT64_MAX, most, &r->err);
	r->txn->forest->items_max = items_max;
	while (status == 0) {
		status = qc_forest_next(r->txn, &extents, &count, &r->err);
		if (status < 0 || count == 0)
			break;
		for (size_t i = 0; status == 0 && i < count; i++) {
			status = qc_file_read(r->guard, extents[i].host.byte, packed,
					      (size_t)extents[i].bytes, &r->err);
			assert_true(i == 0 || extents[i].host.byte > extents[i - 1].host.byte);
			if (status == 0)
				status = qc_codec_decompress(codec, packed,
							     (size_t)extents[i].bytes, bytes,
							     cluster, &r->err);
			if (status == 0)
				status = qc_forest_place(r->txn, &extents[i], &r->err);
			if (status == 0)
				status = qc_txn_put(r->txn, extents[i].cluster, bytes, cluster,
						    &r->err);
		}
		if (status == 0)
			status = qc_forest_apply(r->txn, &r->err);
	}
	qc_codec_close(codec);
	free(packed);
	free(bytes);
	return status;
}

static int expand(struct rig *r, uint64_t most)
{
	return expand_in_windows(r, most, QC_FOREST_ITEMS_MAX);
}

static struct builder *small(void)
{
	struct builder_options o = builder_defaults();

	o.cluster_bits = 9;
	o.disk_bytes = 128 << 9; /* two L2 tables */
	return builder_new(&o);
}

static uint64_t word_at(struct qc_file *mem, uint64_t at)
{
	return qc_load_be64(qc_file_mem_bytes(mem) + at);
}

static uint64_t l2_word(struct qc_file *mem, uint64_t l1, uint64_t index)
{
	return word_at(mem, (word_at(mem, l1) & QC_L1_OFFSET_MASK) + index * 8);
}

static void an_extent_of_two_guest_clusters_becomes_one_cluster(void **state)
{
	struct builder *b = small();
	uint64_t word, other, l1;
	struct rig r;
	uint8_t *image;
	size_t length;

	(void)state;
	builder_compressed_at(b, 3, filled(0x33), 0);
	builder_data(b, 4, filled(0x44));
	builder_unallocated(b, 5);
	builder_finish(b, &image, &length);
	word = builder_peek64(b, builder_l2_entry_at(b, 3));
	builder_poke64(b, builder_l2_entry_at(b, 3) + 16, word);
	builder_poke_refcount(b, (word & ((UINT64_C(1) << 61) - 1)) >> 9, 2);
	rig_open(&r, image, length, NULL);
	assert_sound(r.mem);
	rig_again(&r, false);
	rig_must(&r, expand(&r, UINT64_MAX));
	rig_commit(&r);
	assert_sound(r.mem);
	assert_guest(r.mem, 3 << 9, filled(0x33), 512);
	assert_guest(r.mem, 5 << 9, filled(0x33), 512);
	l1 = word_at(r.mem, 40);
	word = l2_word(r.mem, l1, 3);
	other = l2_word(r.mem, l1, 5);
	assert_true(word == other && (word & QC_L2_COPIED) == 0);
	rig_close(&r);
	builder_free(b);
}

static void a_snapshot_keeps_sharing_the_table_and_its_clusters(void **state)
{
	struct builder *b = small();
	uint64_t l1, snapshot_l1, table;
	struct rig r;
	uint8_t *image;
	size_t length;

	(void)state;
	builder_compressed(b, 3, filled(0x33));
	builder_compressed(b, 70, filled(0x70));
	builder_snapshot(b, "1", "one");
	builder_data(b, 71, filled(0x71)); /* the second table is copied, the first one shared */
	builder_finish(b, &image, &length);
	rig_open(&r, image, length, NULL);
	rig_again(&r, false);
	rig_must(&r, expand(&r, UINT64_MAX));
	rig_commit(&r);
	assert_sound(r.mem);
	rig_again(&r, false);
	l1 = r.image->header.l1.byte;
	snapshot_l1 = r.image->snapshots.list[0].l1.byte;
	assert_int_equal(rig_end(&r, -1), -1);
	table = word_at(r.mem, l1);
	assert_true(table == word_at(r.mem, snapshot_l1) && (table & QC_L1_COPIED) == 0);
	assert_true((word_at(r.mem, l1 + 8) & QC_L1_COPIED) != 0);
	assert_true((word_at(r.mem, snapshot_l1 + 8) & QC_L1_COPIED) == 0);
	assert_true(l2_word(r.mem, l1 + 8, 6) == l2_word(r.mem, snapshot_l1 + 8, 6));
	assert_true((l2_word(r.mem, l1 + 8, 6) & QC_L2_COPIED) == 0);
	assert_true((l2_word(r.mem, l1 + 8, 7) & QC_L2_COPIED) != 0);
	rig_close(&r);
	builder_free(b);
}

/* The compressed extent of guest cluster 3, with so many references to its host cluster. */
static uint64_t share_extent(struct builder *b, uint64_t refcount)
{
	uint64_t word = builder_peek64(b, builder_l2_entry_at(b, 3));

	builder_poke_refcount(b, (word & ((UINT64_C(1) << 61) - 1)) >> 9, refcount);
	return word;
}

/* Guest clusters 3, 40, 64 and 100 are one extent, and 5 another in the same host cluster. */
static void build_scattered(struct builder *b, uint8_t **ret_image, size_t *ret_length)
{
	static const uint64_t others[] = {40, 64, 100};
	uint64_t word;

	builder_compressed_at(b, 3, filled(0x33), 0);
	builder_compressed(b, 5, filled(0x55));
	builder_data(b, 41, filled(0x41));
	builder_data(b, 101, filled(0x65));
	builder_finish(b, ret_image, ret_length);
	word = share_extent(b, 5);
	for (size_t i = 0; i < 3; i++)
		builder_poke64(b, builder_l2_entry_at(b, others[i]), word);
}

static const size_t windows[] = {1, 4, 64, QC_FOREST_ITEMS_MAX};

#define WINDOW_COUNT (sizeof(windows) / sizeof(windows[0]))

static void an_extent_of_several_parts_of_the_disk_becomes_one_cluster(void **state)
{
	(void)state;
	for (size_t i = 0; i < WINDOW_COUNT; i++) {
		struct builder *b = small();
		uint64_t word, l1;
		struct rig r;
		uint8_t *image;
		size_t length;

		build_scattered(b, &image, &length);
		rig_open(&r, image, length, NULL);
		assert_sound(r.mem);
		rig_again(&r, false);
		rig_must(&r, expand_in_windows(&r, UINT64_MAX, windows[i]));
		rig_commit(&r);
		assert_sound(r.mem);
		assert_int_equal(r.report.clusters_allocated, 2);
		assert_guest(r.mem, 100 << 9, filled(0x33), 512);
		assert_guest(r.mem, 5 << 9, filled(0x55), 512);
		assert_guest(r.mem, 101 << 9, filled(0x65), 512);
		l1 = word_at(r.mem, 40);
		word = l2_word(r.mem, l1, 3);
		assert_true((word & QC_L2_COPIED) == 0);
		assert_true(word == l2_word(r.mem, l1, 40));
		assert_true(word == l2_word(r.mem, l1 + 8, 0));
		assert_true(word == l2_word(r.mem, l1 + 8, 36));
		assert_true((l2_word(r.mem, l1, 5) & QC_L2_COPIED) != 0);
		rig_close(&r);
		builder_free(b);
	}
}

/* A snapshot's tables refer to it too, and the disk's to something else at the same place. */
static void what_snapshots_share_with_other_parts_becomes_one_cluster(void **state)
{
	(void)state;
	for (size_t i = 0; i < WINDOW_COUNT; i++) {
		struct builder *b = small();
		uint64_t word, l1;
		struct rig r;
		uint8_t *image;
		size_t length;

		builder_compressed_at(b, 3, filled(0x33), 0);
		builder_data(b, 101, filled(0x65));
		builder_snapshot(b, "1", "one");
		builder_data(b, 3, filled(0x34));
		builder_data(b, 102, filled(0x66));
		builder_finish(b, &image, &length);
		word = builder_peek64(b, builder_snapshot_l2_entry_at(b, 0, 3));
		builder_poke64(b, builder_l2_entry_at(b, 100), word);
		builder_poke_refcount(b, (word & ((UINT64_C(1) << 61) - 1)) >> 9, 2);
		rig_open(&r, image, length, NULL);
		assert_sound(r.mem);
		rig_again(&r, false);
		rig_must(&r, expand_in_windows(&r, UINT64_MAX, (size_t)qc_max(windows[i], 2)));
		rig_commit(&r);
		assert_sound(r.mem);
		assert_int_equal(r.report.clusters_allocated, 1);
		assert_guest(r.mem, 100 << 9, filled(0x33), 512);
		assert_guest(r.mem, 3 << 9, filled(0x34), 512);
		l1 = word_at(r.mem, 40);
		assert_true((l2_word(r.mem, l1 + 8, 36) & QC_L2_COPIED) == 0);
		rig_close(&r);
		builder_free(b);
	}
}

static void a_table_of_several_parts_of_the_disk_becomes_one_for_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < WINDOW_COUNT; i++) {
		struct builder *b = small();
		uint64_t table, l1;
		struct rig r;
		uint8_t *image;
		size_t length;

		builder_compressed_at(b, 3, filled(0x33), 0);
		builder_finish(b, &image, &length);
		table = builder_peek64(b, builder_l1_entry_at(b, 0)) & QC_L1_OFFSET_MASK;
		builder_poke64(b, builder_l1_entry_at(b, 0), table);
		builder_poke64(b, builder_l1_entry_at(b, 1), table);
		builder_poke_refcount(b, table >> 9, 2);
		share_extent(b, 2);
		rig_open(&r, image, length, NULL);
		assert_sound(r.mem);
		rig_again(&r, false);
		rig_must(&r, expand_in_windows(&r, UINT64_MAX, windows[i]));
		rig_commit(&r);
		assert_sound(r.mem);
		assert_int_equal(r.report.clusters_allocated, 1);
		assert_guest(r.mem, 3 << 9, filled(0x33), 512);
		assert_guest(r.mem, (64 + 3) << 9, filled(0x33), 512);
		l1 = word_at(r.mem, 40);
		assert_true(word_at(r.mem, l1) != word_at(r.mem, l1 + 8));
		assert_true((word_at(r.mem, l1) & word_at(r.mem, l1 + 8) & QC_L1_COPIED) != 0);
		assert_true(l2_word(r.mem, l1, 3) == l2_word(r.mem, l1 + 8, 3));
		rig_close(&r);
		builder_free(b);
	}
}

static void a_trusted_count_of_zero_is_found_out(void **state)
{
	struct builder *b = small();
	struct qc_txn_options trust = {.trust_refcounts = true};
	uint64_t word;
	struct rig r;
	uint8_t *image;
	size_t length;

	(void)state;
	builder_compressed_at(b, 3, filled(0x33), 0);
	builder_compressed_at(b, 4, filled(0x44), 0);
	builder_finish(b, &image, &length);
	for (uint64_t i = 3; i <= 4; i++) {
		word = builder_peek64(b, builder_l2_entry_at(b, i));
		builder_poke_refcount(b, (word & ((UINT64_C(1) << 61) - 1)) >> 9, 0);
	}
	rig_open(&r, image, length, NULL);
	rig_must(&r, qc_image_open(r.guard, NULL, &r.image, &r.err));
	rig_must(&r, qc_txn_begin(r.image, NULL, &trust, &r.txn, &r.err));
	assert_int_equal(rig_end(&r, expand(&r, UINT64_MAX)), -QC_E_FORMAT);
	assert_true(same_file(r.mem, image, length));
	rig_close(&r);
	builder_free(b);
}

static void no_more_come_up_than_were_asked_for(void **state)
{
	struct builder *b = small();
	struct rig r;
	uint8_t *image;
	size_t length;

	(void)state;
	for (uint64_t i = 0; i < 100; i += 3)
		builder_compressed(b, i, filled((uint8_t)(i + 1)));
	builder_finish(b, &image, &length);
	rig_open(&r, image, length, NULL);
	rig_again(&r, false);
	rig_must(&r, expand(&r, 30));
	assert_int_equal(qc_forest_position(r.txn), 90 << 9);
	assert_true(qc_forest_has_more(r.txn));
	rig_commit(&r);
	assert_int_equal(r.report.clusters_allocated, 30);
	assert_sound(r.mem);
	rig_again(&r, false);
	rig_must(&r, expand(&r, 30));
	assert_false(qc_forest_has_more(r.txn));
	rig_commit(&r);
	assert_int_equal(r.report.clusters_allocated, 4);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

/* --- filling --- */

/* It would be looked through to its end, which is as good as none. */
static void a_snapshot_of_a_disk_that_no_l1_table_maps_is_not_filled(void **state)
{
	const uint64_t longest = QC_L1_BYTES_MAX / 8 * (UINT64_C(64) << 9);
	struct builder *b = small();
	struct rig r;
	uint8_t *image;
	size_t length;

	(void)state;
	builder_data(b, 3, filled(0x33));
	builder_snapshot(b, "1", "one");
	builder_finish(b, &image, &length);
	for (uint64_t beyond = 0; beyond < 2; beyond++) {
		/* the disk's size, in the extra data behind the entry's head and the VM state's size */
		builder_poke64(b, builder_snapshot_entry_at(b, 0) + 48, longest + beyond);
		rig_open(&r, image, length, NULL);
		rig_again(&r, false);
		assert_int_equal(qc_fill_open(r.txn, true, &r.err), beyond ? -QC_E_FORMAT : 0);
		rig_end(&r, -1);
		assert_true(same_file(r.mem, image, length));
		rig_close(&r);
	}
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_extent_of_two_guest_clusters_becomes_one_cluster),
		cmocka_unit_test(a_snapshot_keeps_sharing_the_table_and_its_clusters),
		cmocka_unit_test(an_extent_of_several_parts_of_the_disk_becomes_one_cluster),
		cmocka_unit_test(what_snapshots_share_with_other_parts_becomes_one_cluster),
		cmocka_unit_test(a_table_of_several_parts_of_the_disk_becomes_one_for_each),
		cmocka_unit_test(a_trusted_count_of_zero_is_found_out),
		cmocka_unit_test(no_more_come_up_than_were_asked_for),
		cmocka_unit_test(a_snapshot_of_a_disk_that_no_l1_table_maps_is_not_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
