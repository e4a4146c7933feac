// SPDX-License-Identifier: MIT
/* The defects of the first patch that are about compressed clusters; test_defects_refcounts.c lists
 * them all. */
#include "unit/txn/places.h"

static struct builder *with_clusters(uint32_t cluster_bits, uint64_t disk_bytes)
{
	struct builder_options o = builder_defaults();

	o.cluster_bits = cluster_bits;
	o.disk_bytes = disk_bytes;
	return builder_new(&o);
}

/* Half noise, half zeroes: about half a cluster when compressed. */
static void half_noise(uint8_t *to, size_t length)
{
	memset(to, 0, length);
	fill_noise(to, length / 2, 7);
}

static void defect_07_every_host_cluster_of_a_compressed_one_loses_its_reference(void **state)
{
	uint8_t bytes[4096];

	(void)state;
	half_noise(bytes, sizeof(bytes));
	for (uint64_t more = 0; more < 2; more++) { /* one border crossed, or two */
		struct builder *b = with_clusters(12, 1 << 20);
		uint64_t word, first;
		struct rig r;
		uint8_t *image;
		size_t length;

		builder_data(b, 9, filled(8)); /* the L2 table comes first */
		builder_compressed_at(b, 3, bytes, 4000);
		builder_skip_clusters(b, 2);
		builder_data(b, 9, filled(9));
		builder_finish(b, &image, &length);
		word = builder_peek64(b, builder_l2_entry_at(b, 3));
		first = (word & ((UINT64_C(1) << 58) - 1)) >> 12;
		if (more) { /* the sector count's upper bit: 4 KiB more than there is to it */
			word += UINT64_C(8) << 58;
			builder_poke64(b, builder_l2_entry_at(b, 3), word);
			builder_poke_refcount(b, first + 2, 1);
		}
		assert_int_equal(builder_refcount(b, first + 1), 1);
		rig_open(&r, image, length, NULL);
		assert_sound(r.mem);
		rig_again(&r, false);
		rig_write(&r, (3 << 12) + 10, filled(0x31), 20);
		rig_commit(&r);
		for (uint64_t i = 0; i <= 1 + more; i++)
			assert_int_equal(refcount_of(r.mem, (first + i) << 12), 0);
		memset(bytes + 10, 0x31, 20);
		assert_guest(r.mem, 3 << 12, bytes, sizeof(bytes));
		half_noise(bytes, sizeof(bytes));
		assert_sound(r.mem);
		rig_close(&r);
		builder_free(b);
	}
}

/* A compressed cluster of the file is overwritten in part, with what it holds read before. */
static void overwrite_compressed(struct rig *r, struct qc_file *take_file, uint8_t *expected)
{
	assert_guest(take_file, 0, expected, 4096);
	rig_open_on(r, take_file, NULL);
	rig_again(r, false);
	rig_write(r, 33, filled(0x44), 5);
	rig_commit(r);
	memset(expected + 33, 0x44, 5);
	assert_guest(r->mem, 0, expected, 4096);
}

static void defect_20_a_compressed_extent_above_2_gib(void **state)
{
	struct builder *b = with_clusters(12, 64 << 10);
	const uint64_t far = UINT64_C(3) << 30;
	uint8_t expected[4096];
	struct qc_file *file;
	uint64_t word, host;
	struct qc_err err;
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	half_noise(expected, sizeof(expected));
	builder_compressed_at(b, 0, expected, 0);
	builder_finish(b, &bytes, &length);
	word = builder_peek64(b, builder_l2_entry_at(b, 0));
	host = word & ((UINT64_C(1) << 58) - 1);
	file = far_file(bytes, length);
	assert_int_equal(qc_file_write(file, far, bytes + host, 4096, &err), 0);
	put_word(file, builder_l2_entry_at(b, 0), word - host + far);
	/* its refcount: a block at the end, for clusters from 3 GiB on */
	put_word(file, builder_refcount_table_entry_at(b, far >> 12 >> 11), far + 4096);
	put_word(file, far + 4096, UINT64_C(0x0001000100000000));
	builder_free(b);
	overwrite_compressed(&r, file, expected);
	assert_sound_but(file, 1); /* where it was first */
	assert_int_equal(refcount_of(file, far), 0);
	rig_close(&r);
}

static void defect_20_a_descriptor_of_the_greatest_length(void **state)
{
	struct builder *b = with_clusters(12, 64 << 10);
	uint8_t expected[4096];
	struct qc_file *file;
	struct qc_err err;
	uint64_t first;
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	half_noise(expected, sizeof(expected));
	builder_data(b, 5, filled(4)); /* the L2 table comes first */
	builder_compressed_at(b, 0, expected, 0);
	builder_skip_clusters(b, 2);
	builder_data(b, 6, filled(5));
	builder_finish(b, &bytes, &length);
	first = (builder_peek64(b, builder_l2_entry_at(b, 0)) & ((UINT64_C(1) << 58) - 1)) >> 12;
	builder_poke64(b, builder_l2_entry_at(b, 0),
		       QC_L2_COMPRESSED | UINT64_C(15) << 58 | first << 12);
	builder_poke_refcount(b, first + 1, 1);
	assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	builder_free(b);
	assert_sound(file);
	overwrite_compressed(&r, file, expected);
	assert_sound(file);
	rig_close(&r);
}

static void defect_20_an_extent_that_ends_in_the_files_last_partial_sector(void **state)
{
	struct builder *b = with_clusters(12, 64 << 10);
	uint8_t expected[4096];
	struct qc_file *file;
	struct qc_err err;
	uint64_t end;
	struct rig r;
	uint8_t *bytes;
	size_t length;

	(void)state;
	half_noise(expected, sizeof(expected));
	builder_data(b, 5, filled(5));
	builder_compressed_at(b, 0, expected, 0);
	builder_finish(b, &bytes, &length);
	end = (builder_peek64(b, builder_l2_entry_at(b, 0)) & ((UINT64_C(1) << 58) - 1)) + 4096;
	if (end != length) { /* the refcounts lie behind it: let the extent be the last */
		uint64_t word = builder_peek64(b, builder_l2_entry_at(b, 0));
		uint64_t old = end - 4096;

		assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
		assert_int_equal(qc_file_write(file, length, bytes + old, 4096, &err), 0);
		put_word(file, builder_l2_entry_at(b, 0), word - old + length);
		put_word(file, builder_refcount_block_at(b, 0) + (length >> 12) * 2 / 8 * 8,
			 word_at(file, builder_refcount_block_at(b, 0) + (length >> 12) * 2 / 8 * 8)
				 | UINT64_C(1) << (48 - (length >> 12) % 4 * 16));
		end = length + 4096;
	} else {
		assert_int_equal(qc_file_mem_open(bytes, length, &file, &err), 0);
	}
	while (qc_file_mem_bytes(file)[end - 1] == 0)
		end--;
	assert_int_not_equal(end % 512, 0);
	assert_int_equal(qc_file_resize(file, end, &err), 0);
	builder_free(b);
	overwrite_compressed(&r, file, expected);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			defect_07_every_host_cluster_of_a_compressed_one_loses_its_reference),
		cmocka_unit_test(defect_20_a_compressed_extent_above_2_gib),
		cmocka_unit_test(defect_20_a_descriptor_of_the_greatest_length),
		cmocka_unit_test(defect_20_an_extent_that_ends_in_the_files_last_partial_sector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
