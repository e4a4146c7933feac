// SPDX-License-Identifier: MIT
/*
 * The patch that began it all gave copy-on-write to the qcow2 reader of a small hypervisor. A review
 * found 21 defects in it; each has one test here that fails where the defect is.
 *
 *	 1  a new cluster's refcount is raised twice
 *	 2  "no free cluster" is never noticed: the search runs past the refcount table for ever
 *	 3  a failed allocation is used as offset -1
 *	 4  a refcount block that does not exist is taken to be at offset 0: the header is overwritten
 *	 8  refcount blocks and the refcount table never grow
 *	13  refcounts wrap at both ends
 *	14  cluster numbers are cut to 32 bits
 *	16  where the search for free clusters starts is not initialised
 *	21  which cluster is given out depends on history
 * and in test_defects_data.c
 *	 5  a copied L2 table is read from the wrong place
 *	 6  the old L2 table's refcount is never dropped
 *	 9  no barriers
 *	10  a failed read while copying is ignored: another cluster's bytes are written
 *	11  cached tables are freed while in use
 *	12  errors leave clusters allocated and tables in memory changed
 *	17  backing file, encryption and snapshots are ignored
 *	18  COPIED is trusted without a look at the refcount
 *	19  a write of several clusters can be cut in two
 * and in test_defects_compressed.c
 *	 7  an overwritten compressed cluster drops the first of its host clusters only
 *	20  compressed extents: offsets cut to 31 bits, buffer too short, short last sector refused
 * and in test_memory.c
 *	15  error paths free one buffer twice and forget another
 */
#include "unit/txn/places.h"

static void defect_01_refcount_is_bumped_once(void **state)
{
	struct rig r;
	struct builder *b = small_clusters(4, 64 << 10);

	(void)state;
	rig_begin_well(&r, b, false);
	rig_write(&r, 0, filled(1), 5 * 512);
	rig_commit(&r);
	for (uint64_t guest = 0; guest < 5 * 512; guest += 512) {
		uint64_t word = l2_word(r.mem, guest);

		assert_true(word & QC_L2_COPIED);
		assert_int_equal(refcount_of(r.mem, word & QC_L2_OFFSET_MASK), 1);
	}
	assert_true(l1_word(r.mem, 0) & QC_L2_COPIED);
	assert_int_equal(refcount_of(r.mem, l1_word(r.mem, 0) & QC_L1_OFFSET_MASK), 1);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

/* An image on a device that has no room for more than `free_clusters` clusters behind it. */
static struct qc_file *full_image(uint64_t free_clusters)
{
	struct builder *b = small_clusters(6, 64 << 10);
	struct qc_file *file;
	struct qc_err err;
	uint8_t *bytes;
	size_t length;

	for (uint64_t i = 0; i < 128; i++)
		builder_data(b, i, filled(0x77));
	builder_finish(b, &bytes, &length);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	builder_free(b);
	assert_int_equal(qc_file_resize(file, qc_align_up(length, 512) + free_clusters * 512, &err),
			 0);
	file->fixed_length = true;
	return file;
}

static void defect_02_an_image_without_a_free_cluster_is_no_endless_search(void **state)
{
	static const uint8_t patch[512] = {1, 2, 3};
	uint8_t before[512], after[512];

	(void)state;
	for (uint64_t free_clusters = 0; free_clusters < 4; free_clusters++) {
		struct qc_file *file = full_image(free_clusters);
		uint64_t length = file->bytes;
		struct rig r;
		int status;

		memcpy(before, qc_file_mem_bytes(file), 512);
		rig_open_on(&r, file, NULL);
		rig_again(&r, false);
		status = qc_txn_write(r.txn, qc_guest(0), patch, sizeof(patch), &r.err);
		assert_int_equal(rig_end(&r, status), -QC_E_NO_SPACE);
		assert_non_null(strstr(r.err.text, "no space is left on the device"));
		memcpy(after, qc_file_mem_bytes(file), 512);
		assert_memory_equal(before, after, 512);
		assert_int_equal(file->bytes, length);
		assert_guest(file, 0, filled(0x77), 512);
		rig_close(&r);
	}
}

/* On a device that cannot grow, with room for one cluster more each time, until it is enough. */
static void defect_03_no_space_at_any_allocation_changes_nothing(void **state)
{
	struct builder *b = small_clusters(4, 64 << 10);
	uint8_t *bytes, *device;
	size_t length, room;
	int status = -1;

	(void)state;
	builder_data(b, 3, filled(3));
	builder_finish(b, &bytes, &length);
	for (room = 0; status != 0 && room < 100; room++) {
		size_t all = length + room * 512;
		struct rig r;

		device = calloc(1, all);
		assert_non_null(device);
		memcpy(device, bytes, length);
		rig_open(&r, device, all, NULL);
		r.mem->fixed_length = r.fault->fixed_length = r.guard->fixed_length = true;
		status = rig_begin(&r, NULL, false);
		if (status == 0)
			status = qc_txn_write(r.txn, qc_guest(700), filled(9), 2000, &r.err);
		status = rig_end(&r, status);
		if (status == 0)
			assert_guest(r.mem, 700, filled(9), 2000);
		else
			assert_int_equal(status, -QC_E_NO_SPACE);
		assert_int_equal(r.mem->bytes, all);
		if (status != 0)
			assert_true(same_file(r.mem, device, all));
		assert_sound(r.mem);
		rig_close(&r);
		free(device);
	}
	assert_int_equal(status, 0);
	assert_true(room > 8);
	builder_free(b);
}

static void defect_04_a_missing_refcount_block_is_not_the_header(void **state)
{
	struct builder *b = small_clusters(4, 512 << 10);
	struct rig r;

	(void)state;
	rig_begin_well(&r, b, false);
	assert_int_equal(word_at(r.mem, places_of(r.mem).header.refcount_table.byte + 8), 0);
	rig_write(&r, 0, filled(4), 300 * 512); /* a block counts 256 clusters */
	rig_commit(&r);
	assert_int_not_equal(word_at(r.mem, places_of(r.mem).header.refcount_table.byte + 8), 0);
	assert_int_equal(places_of(r.mem).header.version, 3);
	assert_sound(r.mem);
	assert_guest(r.mem, 0, filled(4), 300 * 512);
	rig_close(&r);
	builder_free(b);
}

/* The same where it happens first in practice: at 2 GiB, with the usual sizes. */
static void defect_04_nor_at_2_gib(void **state)
{
	struct builder *b = builder_new(NULL);
	uint64_t used, block;
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 2, filled(2));
	builder_finish(b, &bytes, &length);
	used = length >> 16;
	block = builder_refcount_block_at(b, 0);
	memset(bytes + block, 0, 1 << 16);
	for (uint64_t i = 0; i < 32768; i++)
		bytes[block + i * 2 + 1] = 1;
	rig_open_on(&r, far_file(bytes, length), NULL);
	rig_again(&r, false);
	rig_write(&r, 0, filled(8), 2 << 16);
	rig_commit(&r);
	assert_true((l2_word(r.mem, 0) & QC_L2_OFFSET_MASK) >= UINT64_C(2) << 30);
	assert_sound_but(r.mem, 32768 - used);
	assert_guest(r.mem, 0, filled(8), 2 << 16);
	assert_guest(r.mem, 2 << 16, filled(2), 1 << 16);
	rig_close(&r);
	builder_free(b);
}

/* Blocks of 64 counts, 64 of them in a cluster of the table: each describes 2 MiB of the file. */
static void defect_08_blocks_and_the_table_grow_and_count_themselves(void **state)
{
	struct builder *b = small_clusters(6, 8 << 20);
	struct places p;
	struct rig r;

	(void)state;
	rig_begin_well(&r, b, false);
	for (uint64_t at = 0; at < 5 << 20; at += 1 << 20)
		rig_write(&r, at, filled((uint8_t)(at >> 20)), 1 << 20);
	rig_commit(&r);
	p = places_of(r.mem);
	assert_true(p.header.refcount_table_clusters >= 3);
	assert_int_equal(refcount_of(r.mem, p.header.refcount_table.byte), 1);
	for (uint64_t at = 0; at < 5 << 20; at += 1 << 20)
		assert_guest(r.mem, at, filled((uint8_t)(at >> 20)), 1 << 20);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

/* Every fill level of the last block: somewhere the new block's own count needs the new block. */
static void defect_08_whatever_is_left_in_the_last_block(void **state)
{
	(void)state;
	for (uint64_t used = 1; used < 70; used++) {
		struct builder *b = small_clusters(6, 64 << 10);
		struct rig r;

		for (uint64_t i = 0; i < used; i++)
			builder_data(b, i, filled((uint8_t)i));
		rig_begin_well(&r, b, false);
		rig_write(&r, 100 * 512, filled(0xee), 512);
		rig_commit(&r);
		assert_sound(r.mem);
		assert_guest(r.mem, 100 * 512, filled(0xee), 512);
		rig_close(&r);
		builder_free(b);
	}
}

static void defect_13_a_refcount_of_0_is_refused_and_never_becomes_65535(void **state)
{
	for (int trust = 0; trust < 2; trust++) {
		struct builder *b = small_clusters(4, 64 << 10);
		struct qc_txn_options options = {.trust_refcounts = trust};
		struct rig r;
		uint8_t *bytes;
		size_t length;
		int status;

		(void)state;
		builder_data(b, 1, filled(2));
		builder_skip_clusters(b,
				      20); /* so that there are other free clusters, lower ones */
		builder_data(b, 0, filled(1));
		builder_finish(b, &bytes, &length);
		builder_poke_refcount(b, builder_host_of(b, 0) / 512, 0);
		rig_open(&r, bytes, length, NULL);
		guard_file_believe_references(r.guard);
		rig_must(&r, qc_image_open(r.guard, NULL, &r.image, &r.err));
		rig_must(&r, qc_txn_begin(r.image, NULL, &options, &r.txn, &r.err));
		status = qc_txn_write(r.txn, qc_guest(0), filled(7), 512, &r.err);
		assert_int_equal(rig_end(&r, status), -QC_E_FORMAT);
		assert_true(same_file(r.mem, bytes, length));
		rig_close(&r);
		builder_free(b);
	}
}

/* A count of one bit holds one reference: packed clusters each need a host cluster of their own. */
static void defect_13_a_full_refcount_does_not_wrap(void **state)
{
	for (uint32_t order = 0; order < 3; order++) {
		struct builder_options o = builder_defaults();
		struct builder *b;
		struct rig r;

		(void)state;
		o.cluster_bits = 12;
		o.refcount_order = order;
		b = builder_new(&o);
		rig_begin_well(&r, b, true);
		rig_write(&r, 0, filled(5), 40 << 12);
		rig_commit(&r);
		assert_sound(r.mem);
		assert_guest(r.mem, 0, filled(5), 40 << 12);
		rig_close(&r);
		builder_free(b);
	}
}

/* As far up as refcounts of 1 bit reach: close to cluster number 2^32, at 2 TiB. */
static void defect_14_cluster_numbers_keep_their_high_bits(void **state)
{
	struct builder *b = small_clusters(0, 64 << 10);
	const uint64_t top = (UINT64_C(1) << 32) - 40000, at = top << 9, entries = 1 << 20;
	uint64_t table, last;
	struct qc_file *file;
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(0x77));
	builder_data(b, 1, filled(0x78));
	builder_finish(b, &bytes, &length);
	file = far_file(bytes, length);
	rig_must(&r, qc_file_write(file, at, filled(0x99), 512, &r.err));
	put_word(file, builder_l2_entry_at(b, 0), at | QC_L2_COPIED);
	table = qc_align_up(length, 512);
	last = table + entries * 8;
	put_word(file, table, builder_refcount_block_at(b, 0));
	put_word(file, table + (top / 4096) * 8, last);
	rig_must(&r,
		 qc_file_write(file, last + top % 4096 / 8, &(uint8_t){1 << top % 8}, 1, &r.err));
	for (uint64_t i = 0; i < (last + 512 - table) / 512; i++) {
		uint64_t cluster = table / 512 + i, block = cluster / 4096;
		uint64_t in_block = builder_refcount_block_at(b, 0);
		uint8_t byte;

		if (block > 0) {
			in_block = last + 512 + (block - 1) * 512;
			put_word(file, table + block * 8, in_block);
		}
		rig_must(&r, qc_file_read(file, in_block + cluster % 4096 / 8, &byte, 1, &r.err));
		byte |= (uint8_t)(1 << cluster % 8);
		rig_must(&r, qc_file_write(file, in_block + cluster % 4096 / 8, &byte, 1, &r.err));
	}
	for (uint64_t i = 0; i < 5; i++) { /* and the blocks that came with the table */
		uint64_t cluster = last / 512 + 1 + i,
			 in_block = word_at(file, table + cluster / 4096 * 8);
		uint8_t byte;

		rig_must(&r, qc_file_read(file, in_block + cluster % 4096 / 8, &byte, 1, &r.err));
		byte |= (uint8_t)(1 << cluster % 8);
		rig_must(&r, qc_file_write(file, in_block + cluster % 4096 / 8, &byte, 1, &r.err));
	}
	put_word(file, offsetof(struct qc_disk_header, refcount_table_offset), table);
	rig_must(&r, qc_file_write(file, offsetof(struct qc_disk_header, refcount_table_clusters),
				   (uint8_t[]){0, 0, 0x40, 0}, 4, &r.err));
	assert_guest(file, 0, filled(0x99), 512);
	rig_open_on(&r, file, NULL);
	rig_again(&r, false);
	rig_write(&r, 100, filled(0x55), 600);
	rig_write(&r, 8000, filled(0x56), 600);
	rig_commit(&r);
	assert_guest(file, 0, filled(0x99), 100);
	assert_guest(file, 100, filled(0x55), 600);
	assert_guest(file, 700, filled(0x78), 324);
	assert_guest(file, 8000, filled(0x56), 600);
	assert_true((l2_word(file, 0) & QC_L2_OFFSET_MASK) > at);
	assert_int_equal(refcount_of(file, l2_word(file, 0) & QC_L2_OFFSET_MASK), 1);
	assert_int_equal(refcount_of(file, at), 0);
	rig_close(&r);
	builder_free(b);
}

static void defect_16_the_search_starts_at_the_first_free_cluster(void **state)
{
	struct builder *b = small_clusters(4, 64 << 10);
	uint64_t hole = 0;
	struct rig r;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_skip_clusters(b, 20);
	builder_data(b, 1, filled(2));
	rig_begin_well(&r, b, false);
	while (builder_refcount(b, hole) != 0)
		hole++;
	rig_write(&r, 512 * 5, filled(3), 512);
	rig_commit(&r);
	assert_int_equal(l2_word(r.mem, 512 * 5) & QC_L2_OFFSET_MASK, hole * 512);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

/* A run of edits, with or without one more that is given up at first. */
static void edit_twice(struct rig *r, bool stray)
{
	if (stray) {
		rig_again(r, false);
		rig_write(r, 512 * 30, filled(0x11), 512 * 17);
		(void)rig_end(r, -QC_E_INTERRUPTED);
	}
	rig_again(r, false);
	rig_write(r, 512 * 7, filled(0x21), 512 * 9);
	rig_must(r, qc_txn_discard(r->txn, qc_guest(512), 512 * 3, &r->err));
	rig_commit(r);
	rig_again(r, false);
	rig_write(r, 512 * 2, filled(0x31), 512 * 4);
	rig_commit(r);
}

static void defect_21_allocation_is_deterministic(void **state)
{
	struct builder *b = small_clusters(4, 64 << 10);
	struct rig one, two;
	uint8_t *bytes;
	size_t length;

	(void)state;
	for (uint64_t i = 0; i < 6; i++)
		builder_data(b, i, filled((uint8_t)i));
	builder_finish(b, &bytes, &length);
	rig_open(&one, bytes, length, NULL);
	rig_open(&two, bytes, length, NULL);
	edit_twice(&one, false);
	edit_twice(&two, true);
	assert_true(same_file(one.mem, qc_file_mem_bytes(two.mem), (size_t)two.mem->bytes));
	assert_sound(one.mem);
	rig_close(&one);
	rig_close(&two);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defect_01_refcount_is_bumped_once),
		cmocka_unit_test(defect_02_an_image_without_a_free_cluster_is_no_endless_search),
		cmocka_unit_test(defect_03_no_space_at_any_allocation_changes_nothing),
		cmocka_unit_test(defect_04_a_missing_refcount_block_is_not_the_header),
		cmocka_unit_test(defect_04_nor_at_2_gib),
		cmocka_unit_test(defect_08_blocks_and_the_table_grow_and_count_themselves),
		cmocka_unit_test(defect_08_whatever_is_left_in_the_last_block),
		cmocka_unit_test(defect_13_a_refcount_of_0_is_refused_and_never_becomes_65535),
		cmocka_unit_test(defect_13_a_full_refcount_does_not_wrap),
		cmocka_unit_test(defect_14_cluster_numbers_keep_their_high_bits),
		cmocka_unit_test(defect_16_the_search_starts_at_the_first_free_cluster),
		cmocka_unit_test(defect_21_allocation_is_deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
