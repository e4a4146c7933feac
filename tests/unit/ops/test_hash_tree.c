// SPDX-License-Identifier: MIT
/* The referee here builds the levels of docs/HASH.md one after the other, as they are defined. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "ops/hash_tree.h"

/* The hash of a disk whose blocks have these digests; `level` is used up. */
static struct qc_digest hash_by_definition(struct qc_digest *level, size_t count,
					   uint64_t disk_bytes)
{
	uint8_t last[16 + 8];
	size_t bytes;

	while (count > 1) {
		size_t next = 0;

		for (size_t i = 0; i < count; i += 256)
			level[next++] =
				qc_digest_of(level + i, (count - i < 256 ? count - i : 256) * 16);
		count = next;
	}
	bytes = count * 16;
	memcpy(last, level, bytes);
	qc_store_be64(last + bytes, disk_bytes);
	return qc_digest_of(last, bytes + 8);
}

static struct qc_hash_tree *open_tree(void)
{
	struct qc_hash_tree *tree;
	struct qc_err err;

	assert_int_equal(qc_hash_tree_open(&tree, &err), 0);
	return tree;
}

/* `zeroes` blocks of zeroes behind `before` others and in front of `after` others. */
static void assert_as_defined(size_t before, size_t zeroes, size_t after)
{
	size_t count = before + zeroes + after;
	struct qc_digest *level = malloc((count + 1) * sizeof(*level));
	struct qc_hash_tree *tree = open_tree();
	struct qc_digest expected, found;

	for (size_t i = 0; i < count; i++)
		level[i] = i >= before && i < before + zeroes ? *qc_hash_tree_zero_block(tree)
							      : qc_digest_of(&i, sizeof(i));
	for (size_t i = 0; i < before; i++)
		qc_hash_tree_add(tree, &level[i], 1);
	qc_hash_tree_add_zeroes(tree, zeroes);
	for (size_t i = before + zeroes; i < count; i++)
		qc_hash_tree_add(tree, &level[i], 1);
	found = qc_hash_tree_finish(tree, count);
	expected = hash_by_definition(level, count, count);
	if (memcmp(&found, &expected, sizeof(found)) != 0)
		fail_msg("%zu blocks, %zu of zeroes, %zu blocks", before, zeroes, after);
	qc_hash_tree_close(tree);
	free(level);
}

static void any_number_of_blocks_hashes_as_defined(void **state)
{
	static const size_t counts[] = {0, 1, 2, 255, 256, 257, 511, 512, 65535, 65536, 65537};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		assert_as_defined(counts[i], 0, 0);
}

static void a_run_of_zeroes_is_as_good_as_its_blocks(void **state)
{
	static const size_t counts[] = {1, 2, 255, 256, 257, 700, 65535, 65536, 65537, 140000};
	static const size_t around[] = {0, 1, 255, 256, 300};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (size_t k = 0; k < sizeof(around) / sizeof(around[0]); k++) {
			assert_as_defined(around[k], counts[i], 0);
			assert_as_defined(0, counts[i], around[k]);
			assert_as_defined(around[k], counts[i], 1);
		}
}

static void the_largest_disk_there_can_be_has_a_hash(void **state)
{
	struct qc_hash_tree *tree = open_tree(), *other = open_tree();
	uint64_t blocks = (uint64_t)INT64_MAX / QC_HASH_BLOCK_BYTES;
	struct qc_digest a, b;

	(void)state;
	qc_hash_tree_add_zeroes(tree, blocks);
	for (uint64_t left = blocks, now; left > 0; left -= now) {
		now = left < 0x123456789ab ? left : 0x123456789ab;
		qc_hash_tree_add_zeroes(other, now);
	}
	a = qc_hash_tree_finish(tree, INT64_MAX);
	b = qc_hash_tree_finish(other, INT64_MAX);
	assert_memory_equal(&a, &b, sizeof(a));
	qc_hash_tree_close(tree);
	qc_hash_tree_close(other);
}

static void the_size_shows_in_the_hash(void **state)
{
	struct qc_hash_tree *tree = open_tree(), *other = open_tree();
	struct qc_digest a = qc_hash_tree_finish(tree, 0), b = qc_hash_tree_finish(other, 1);

	(void)state;
	assert_memory_not_equal(&a, &b, sizeof(a));
	qc_hash_tree_close(tree);
	qc_hash_tree_close(other);
}

static void digests_are_printed_most_significant_byte_first(void **state)
{
	struct qc_digest empty = qc_digest_of("", 0);
	char hex[QC_HASH_HEX_BYTES];

	(void)state;
	qc_digest_print(&empty, hex);
	assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_blocks_hashes_as_defined),
		cmocka_unit_test(a_run_of_zeroes_is_as_good_as_its_blocks),
		cmocka_unit_test(the_largest_disk_there_can_be_has_a_hash),
		cmocka_unit_test(the_size_shows_in_the_hash),
		cmocka_unit_test(digests_are_printed_most_significant_byte_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
