// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "format/compressed_desc.h"
#include "format/limits.h"

static void assert_round_trip(const struct qc_geometry *g, uint64_t at, uint64_t bytes)
{
	uint64_t descriptor = qc_compressed_encode(g, qc_host(at), bytes);
	struct qc_host decoded_at;
	uint64_t decoded_bytes;

	assert_true(descriptor >> 62 == 0);
	qc_compressed_decode(g, descriptor, &decoded_at, &decoded_bytes);
	assert_true(decoded_at.byte == at);
	/* At least what was asked for, and less than a sector more. */
	assert_in_range(decoded_bytes, bytes, bytes + 511);
	assert_int_equal((at + decoded_bytes) % 512, 0);
	/* What was decoded encodes to the same. */
	assert_true(qc_compressed_encode(g, decoded_at, decoded_bytes) == descriptor);
	/* Flags above the descriptor do not matter. */
	qc_compressed_decode(g, descriptor | UINT64_C(3) << 62, &decoded_at, &decoded_bytes);
	assert_true(decoded_at.byte == at);
	assert_in_range(decoded_bytes, bytes, bytes + 511);
}

static void extremes_survive_a_round_trip_at_every_cluster_size(void **state)
{
	struct qc_geometry g;

	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits++) {
		uint64_t end, whole = UINT64_C(1) << bits;

		qc_geometry_init(&g, 3, bits, 4, false, false);
		end = qc_compressed_offset_end(&g);
		assert_round_trip(&g, whole, 1);
		assert_round_trip(&g, whole, whole);
		assert_round_trip(&g, whole, 2 * whole);
		assert_round_trip(&g, whole + 511, whole);
		assert_round_trip(&g, whole + 511, 2 * whole - 511);
		assert_round_trip(&g, end - 1, 1);
		assert_round_trip(&g, end - 1, whole);
		assert_round_trip(&g, (UINT64_C(1) << 32) + 3, whole - 1);
	}
}

static void the_highest_offset_shrinks_with_the_cluster_size(void **state)
{
	struct qc_geometry g;

	(void)state;
	qc_geometry_init(&g, 3, 9, 4, false, false);
	assert_int_equal(qc_compressed_offset_bits(&g), 61);
	assert_true(qc_compressed_offset_end(&g) == UINT64_C(1) << 56);
	qc_geometry_init(&g, 3, 14, 4, false, false);
	assert_true(qc_compressed_offset_end(&g) == UINT64_C(1) << 56);
	qc_geometry_init(&g, 3, 16, 4, false, false);
	assert_int_equal(qc_compressed_offset_bits(&g), 54);
	assert_true(qc_compressed_offset_end(&g) == UINT64_C(1) << 54);
	qc_geometry_init(&g, 3, 21, 4, false, false);
	assert_true(qc_compressed_offset_end(&g) == UINT64_C(1) << 49);
}

static void a_descriptor_by_qemu_decodes(void **state)
{
	struct qc_geometry g;
	struct qc_host at;
	uint64_t bytes;

	(void)state;
	qc_geometry_init(&g, 3, 16, 4, false, false);
	/* offset 0x5004f, one sector more */
	qc_compressed_decode(&g, UINT64_C(1) << 62 | UINT64_C(1) << 54 | 0x5004f, &at, &bytes);
	assert_int_equal(at.byte, 0x5004f);
	assert_int_equal(bytes, 1024 - 0x4f);
}

static void one_two_and_three_clusters_are_touched(void **state)
{
	struct qc_geometry g;
	uint64_t first, count;

	(void)state;
	qc_geometry_init(&g, 3, 12, 4, false, false);
	qc_compressed_clusters(&g, qc_host(4096), 4096, &first, &count);
	assert_int_equal(first, 1);
	assert_int_equal(count, 1);
	qc_compressed_clusters(&g, qc_host(4097), 4096, &first, &count);
	assert_int_equal(first, 1);
	assert_int_equal(count, 2);
	qc_compressed_clusters(&g, qc_host(8191), 4098, &first, &count);
	assert_int_equal(first, 1);
	assert_int_equal(count, 3);
	qc_compressed_clusters(&g, qc_host(8191), 1, &first, &count);
	assert_int_equal(count, 1);
}

static void the_longest_descriptor_touches_three_clusters_at_most(void **state)
{
	struct qc_geometry g;
	uint64_t first, count, bytes;
	struct qc_host at;

	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits++) {
		qc_geometry_init(&g, 3, bits, 4, false, false);
		qc_compressed_decode(&g, UINT64_MAX, &at, &bytes);
		assert_int_equal(bytes, 2 * g.cluster_bytes - 511);
		qc_compressed_clusters(&g, at, bytes, &first, &count);
		assert_int_equal(count, bits == 9 ? 2 : 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extremes_survive_a_round_trip_at_every_cluster_size),
		cmocka_unit_test(the_highest_offset_shrinks_with_the_cluster_size),
		cmocka_unit_test(a_descriptor_by_qemu_decodes),
		cmocka_unit_test(one_two_and_three_clusters_are_touched),
		cmocka_unit_test(the_longest_descriptor_touches_three_clusters_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
