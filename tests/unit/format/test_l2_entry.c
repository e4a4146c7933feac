// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "format/l2_entry.h"
#include "format/limits.h"

static struct qc_geometry geometry(uint32_t version, bool extended, bool external)
{
	struct qc_geometry g;

	qc_geometry_init(&g, version, 16, 4, extended, external);
	return g;
}

static void assert_fault(const struct qc_geometry *g, uint64_t entry, uint64_t bitmap,
			 enum qc_l2_fault expected)
{
	struct qc_l2_words words = {.entry = entry, .bitmap = bitmap};
	struct qc_l2_entry decoded;
	enum qc_l2_fault fault = qc_l2_decode(g, words, &decoded);

	if (fault != expected)
		fail_msg("%016llx %016llx: %s", (unsigned long long)entry,
			 (unsigned long long)bitmap, qc_l2_fault_text(fault));
	if (fault == QC_L2_FAULT_NONE) {
		words = qc_l2_encode(g, &decoded);
		assert_true(words.entry == entry);
		assert_true(words.bitmap == bitmap);
	}
}

static void entries_are_stored_where_they_are_loaded(void **state)
{
	static uint8_t table[1 << 16];
	struct qc_l2_words words = {.entry = UINT64_C(0x8000123456780000), .bitmap = 0};

	(void)state;
	for (int extended = 0; extended < 2; extended++) {
		struct qc_geometry g = geometry(3, extended, false);

		memset(table, 0, sizeof(table));
		words.bitmap = extended ? UINT64_C(0x0102030405060708) : 0;
		qc_l2_store(&g, table, g.l2_entries - 1, words);
		assert_int_equal(table[sizeof(table) - g.l2_entry_bytes], 0x80);
		assert_true(qc_l2_load(&g, table, g.l2_entries - 1).entry == words.entry);
		assert_true(qc_l2_load(&g, table, g.l2_entries - 1).bitmap == words.bitmap);
		assert_int_equal(qc_l2_load(&g, table, g.l2_entries - 2).entry, 0);
		assert_int_equal(qc_l2_load(&g, table, g.l2_entries - 2).bitmap, 0);
	}
}

static void the_five_kinds_of_a_standard_entry_decode(void **state)
{
	struct qc_geometry g = geometry(3, false, false);
	struct qc_l2_entry e;

	(void)state;
	assert_int_equal(qc_l2_decode(&g, (struct qc_l2_words){.entry = 0}, &e), QC_L2_FAULT_NONE);
	assert_true(!e.compressed && !e.allocated && !e.zero && qc_host_is_none(e.host));
	assert_int_equal(qc_l2_decode(&g, (struct qc_l2_words){.entry = 1}, &e), QC_L2_FAULT_NONE);
	assert_true(!e.allocated && e.zero == 1 && qc_host_is_none(e.host));
	qc_l2_decode(&g, (struct qc_l2_words){.entry = QC_L2_COPIED | 0x50001}, &e);
	assert_true(!e.allocated && e.zero == 1 && e.host.byte == 0x50000 && e.copied);
	qc_l2_decode(&g, (struct qc_l2_words){.entry = 0x50000}, &e);
	assert_true(e.allocated == 1 && !e.zero && e.host.byte == 0x50000 && !e.copied);
	qc_l2_decode(&g, (struct qc_l2_words){.entry = QC_L2_COMPRESSED | 0x5004f}, &e);
	assert_true(e.compressed && !e.allocated && !e.zero && e.host.byte == 0x5004f);
	assert_int_equal(e.compressed_bytes, 512 - 0x4f);
}

static void sound_entries_lose_nothing_in_a_round_trip(void **state)
{
	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits++) {
		struct qc_geometry g;
		uint64_t top;

		qc_geometry_init(&g, 3, bits, 4, false, false);
		top = (UINT64_C(1) << 56) - g.cluster_bytes;
		assert_fault(&g, 0, 0, QC_L2_FAULT_NONE);
		assert_fault(&g, 1, 0, QC_L2_FAULT_NONE);
		assert_fault(&g, top, 0, QC_L2_FAULT_NONE);
		assert_fault(&g, top | 1, 0, QC_L2_FAULT_NONE);
		assert_fault(&g, top | QC_L2_COPIED, 0, QC_L2_FAULT_NONE);
		assert_fault(&g, g.cluster_bytes | QC_L2_COPIED | 1, 0, QC_L2_FAULT_NONE);
		assert_fault(&g, QC_L2_COMPRESSED | (UINT64_C(1) << 48) | 1, 0, QC_L2_FAULT_NONE);
	}
}

static void every_reserved_bit_is_a_fault(void **state)
{
	struct qc_geometry g = geometry(3, false, false);
	struct qc_geometry extended = geometry(3, true, false);

	(void)state;
	for (unsigned int bit = 0; bit < 62; bit++) {
		uint64_t entry = UINT64_C(1) << bit | 0x50000;

		if (QC_L2_RESERVED >> bit & 1) {
			assert_fault(&g, entry, 0, QC_L2_FAULT_RESERVED);
			assert_fault(&extended, entry, 0, QC_L2_FAULT_RESERVED);
		} else if (bit >= 9 && bit < 16) {
			assert_fault(&g, entry, 0, QC_L2_FAULT_UNALIGNED);
			assert_fault(&extended, entry, 0, QC_L2_FAULT_UNALIGNED);
		} else {
			assert_fault(&g, entry, 0, QC_L2_FAULT_NONE);
			assert_fault(&extended, entry, 0,
				     bit == 0 ? QC_L2_FAULT_RESERVED : QC_L2_FAULT_NONE);
		}
	}
}

static void version_2_has_no_zero_flag(void **state)
{
	struct qc_geometry g = geometry(2, false, false);

	(void)state;
	assert_fault(&g, 1, 0, QC_L2_FAULT_ZERO_IN_V2);
	assert_fault(&g, 0x50001, 0, QC_L2_FAULT_ZERO_IN_V2);
	/* In a compressed entry, bit 0 is part of the offset. */
	assert_fault(&g, QC_L2_COMPRESSED | 0x50001, 0, QC_L2_FAULT_NONE);
}

static void compressed_entries_have_faults_of_their_own(void **state)
{
	struct qc_geometry g = geometry(3, false, false);
	struct qc_geometry extended = geometry(3, true, false);
	struct qc_geometry external = geometry(3, false, true);
	struct qc_geometry tiny;

	(void)state;
	assert_fault(&g, QC_L2_COMPRESSED | QC_L2_COPIED | 0x50000, 0,
		     QC_L2_FAULT_COPIED_COMPRESSED);
	assert_fault(&external, QC_L2_COMPRESSED | 0x50000, 0, QC_L2_FAULT_COMPRESSED_EXTERNAL);
	assert_fault(&extended, QC_L2_COMPRESSED | 0x50000, 1, QC_L2_FAULT_COMPRESSED_BITMAP);
	assert_fault(&extended, QC_L2_COMPRESSED | 0x50000, UINT64_C(1) << 63,
		     QC_L2_FAULT_COMPRESSED_BITMAP);
	qc_geometry_init(&tiny, 3, 9, 4, false, false);
	assert_fault(&tiny, QC_L2_COMPRESSED | ((UINT64_C(1) << 56) - 1), 0, QC_L2_FAULT_NONE);
	for (unsigned int bit = 56; bit < 61; bit++)
		assert_fault(&tiny, QC_L2_COMPRESSED | UINT64_C(1) << bit, 0,
			     QC_L2_FAULT_COMPRESSED_OFFSET);
	assert_fault(&tiny, QC_L2_COMPRESSED | UINT64_C(1) << 61, 0, QC_L2_FAULT_NONE);
}

static void subclusters_decode_bit_by_bit(void **state)
{
	struct qc_geometry g = geometry(3, true, false);
	struct qc_l2_entry e;

	(void)state;
	for (unsigned int bit = 0; bit < 32; bit++) {
		uint64_t allocated = UINT64_C(1) << bit, zero = UINT64_C(1) << (bit + 32);

		assert_fault(&g, 0x50000, allocated, QC_L2_FAULT_NONE);
		assert_fault(&g, 0x50000, zero, QC_L2_FAULT_NONE);
		assert_fault(&g, 0, zero, QC_L2_FAULT_NONE);
		assert_fault(&g, 0, allocated, QC_L2_FAULT_BITMAP_NO_HOST);
		assert_fault(&g, 0x50000, allocated | zero, QC_L2_FAULT_BITMAP_BOTH);
		assert_fault(&g, 0x50000, ~allocated & ~zero & UINT32_MAX, QC_L2_FAULT_NONE);
		qc_l2_decode(&g, (struct qc_l2_words){.entry = 0x50000, .bitmap = zero}, &e);
		assert_true(e.allocated == 0 && e.zero == 1u << bit);
	}
	assert_int_equal(qc_all_subclusters(&g), UINT32_MAX);
}

static void offset_0_is_a_cluster_in_a_data_file_only(void **state)
{
	struct qc_geometry g = geometry(3, false, false);
	struct qc_geometry external = geometry(3, false, true);
	struct qc_geometry extended = geometry(3, true, true);
	struct qc_l2_entry e;

	(void)state;
	qc_l2_decode(&external, (struct qc_l2_words){.entry = QC_L2_COPIED}, &e);
	assert_int_equal(e.allocated, 1);
	qc_l2_decode(&external, (struct qc_l2_words){.entry = 0}, &e);
	assert_int_equal(e.allocated, 0);
	qc_l2_decode(&g, (struct qc_l2_words){.entry = QC_L2_COPIED}, &e);
	assert_int_equal(e.allocated, 0);
	assert_fault(&external, QC_L2_COPIED, 0, QC_L2_FAULT_NONE);
	assert_fault(&extended, QC_L2_COPIED, 0xf, QC_L2_FAULT_NONE);
	assert_fault(&extended, 0, 0xf, QC_L2_FAULT_BITMAP_NO_HOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_stored_where_they_are_loaded),
		cmocka_unit_test(the_five_kinds_of_a_standard_entry_decode),
		cmocka_unit_test(sound_entries_lose_nothing_in_a_round_trip),
		cmocka_unit_test(every_reserved_bit_is_a_fault),
		cmocka_unit_test(version_2_has_no_zero_flag),
		cmocka_unit_test(compressed_entries_have_faults_of_their_own),
		cmocka_unit_test(subclusters_decode_bit_by_bit),
		cmocka_unit_test(offset_0_is_a_cluster_in_a_data_file_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
