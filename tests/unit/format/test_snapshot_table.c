// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "format/disk_layout.h"
#include "format/limits.h"
#include "format/snapshot_table.h"
#include "support/found.h"

static struct qc_snapshot a_snapshot(char *id, char *name)
{
	return (struct qc_snapshot){
		.l1 = qc_host(UINT64_C(3) << 33),
		.l1_entries = 17,
		.id = id,
		.name = name,
		.id_bytes = (uint16_t)strlen(id),
		.name_bytes = (uint16_t)strlen(name),
		.date_sec = 1700000000,
		.date_nsec = 999999999,
		.vm_clock_nsec = UINT64_C(1) << 60,
		.has_disk_bytes = true,
		.disk_bytes = UINT64_C(1) << 40,
	};
}

static uint8_t *encoded(struct qc_snapshot *list, size_t count, uint64_t *ret_bytes)
{
	struct qc_snapshots all = {.list = list, .count = count};
	uint8_t *bytes;

	*ret_bytes = qc_snapshots_encoded_bytes(&all);
	bytes = malloc((size_t)*ret_bytes);
	memset(bytes, 0xaa, (size_t)*ret_bytes);
	qc_snapshots_encode(&all, bytes);
	return bytes;
}

static int decode(uint32_t version, const uint8_t *bytes, uint64_t length, uint32_t count,
		  struct found *found, struct qc_snapshots *ret, uint64_t *ret_needed)
{
	struct qc_finding_sink sink = found_sink(found);
	struct qc_geometry g;
	struct qc_err err;

	qc_geometry_init(&g, version, 16, 4, false, false);
	return qc_snapshots_decode(&g, bytes, (size_t)length, count, &sink, ret, ret_needed, &err);
}

static void tables_round_trip_byte_for_byte(void **state)
{
	uint8_t extra[100];
	struct qc_snapshot list[4];
	struct qc_snapshots all;
	struct found found;
	uint64_t length, again_length, needed;
	uint8_t *bytes, *again;

	(void)state;
	memset(extra, 0x5a, sizeof(extra));
	list[0] = a_snapshot("1", "");
	list[1] = a_snapshot("22", "a name");
	list[1].vm_state_bytes = UINT64_C(5) << 32;
	list[1].has_icount = true;
	list[1].icount = 7;
	list[2] = a_snapshot("", "unknown extra data");
	list[2].extra = extra;
	list[2].extra_bytes = sizeof(extra);
	list[3] = a_snapshot("4", "last");
	list[3].vm_state_bytes = UINT32_MAX;
	bytes = encoded(list, 4, &length);
	assert_int_equal(decode(3, bytes, length, 4, &found, &all, &needed), 0);
	assert_int_equal(found.total, 0);
	assert_int_equal(all.count, 4);
	assert_int_equal(all.table_bytes, length);
	assert_true(needed <= length);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(all.list[i].id, list[i].id);
		assert_string_equal(all.list[i].name, list[i].name);
		assert_true(all.list[i].l1.byte == list[i].l1.byte);
		assert_int_equal(all.list[i].l1_entries, 17);
		assert_int_equal(all.list[i].date_nsec, 999999999);
		assert_true(all.list[i].vm_clock_nsec == UINT64_C(1) << 60);
		assert_true(all.list[i].disk_bytes == UINT64_C(1) << 40);
		assert_true(all.list[i].vm_state_bytes == (i == 2 ? 0 : list[i].vm_state_bytes));
	}
	assert_true(all.list[1].has_icount && all.list[1].icount == 7);
	assert_false(all.list[0].has_icount);
	assert_int_equal(all.list[2].extra_bytes, 100);
	assert_memory_equal(all.list[2].extra + 24, extra + 24, 76);
	again = encoded(all.list, all.count, &again_length);
	assert_int_equal(again_length, length);
	assert_memory_equal(bytes, again, (size_t)length);
	free(again);
	free(bytes);
	qc_snapshots_clear(&all);
	qc_snapshots_clear(&all);
}

static void entries_are_padded_to_8_with_zeroes(void **state)
{
	struct qc_snapshot list[2] = {a_snapshot("1", "abc"), a_snapshot("2", "abcd")};
	uint64_t length;
	uint8_t *bytes = encoded(list, 2, &length);

	(void)state;
	assert_int_equal(length, 2 * (40 + 16 + 8));
	assert_memory_equal(bytes + 56, "1abc\0\0\0\0", 8);
	assert_memory_equal(bytes + 64 + 56, "2abcd\0\0\0", 8);
	free(bytes);
}

static void a_cut_table_asks_for_more_and_reports_nothing(void **state)
{
	struct qc_snapshot list[3] = {a_snapshot("1", "one"), a_snapshot("2", "two"),
				      a_snapshot("3", "three+")};
	struct qc_snapshots all = {0};
	struct found found;
	uint64_t length, needed;
	uint8_t *bytes;

	(void)state;
	list[0].l1 = qc_host(1); /* would be reported */
	bytes = encoded(list, 3, &length);
	/* The last entry ends with its name; its padding need not be there. */
	for (uint64_t part = 0; part < length; part++) {
		uint8_t *exact = malloc((size_t)(part ? part : 1));

		memcpy(exact, bytes, (size_t)part);
		needed = 0;
		assert_int_equal(decode(3, exact, part, 3, &found, &all, &needed), 0);
		if (part < length - 1) {
			assert_true(needed > part && needed <= length);
			assert_int_equal(found.total, 0);
			assert_int_equal(all.count, 0);
		} else {
			assert_int_equal(needed, length - 1);
			assert_int_equal(all.count, 3);
			assert_true(found_only(&found, QC_FINDING_SNAPSHOT_L1_PLACE));
		}
		qc_snapshots_clear(&all);
		free(exact);
	}
	free(bytes);
}

static void asking_for_more_comes_to_an_end(void **state)
{
	struct qc_snapshot list[3] = {a_snapshot("1", "one"), a_snapshot("2", "two"),
				      a_snapshot("3", "three")};
	struct qc_snapshots all = {0};
	struct found found;
	uint64_t length, needed = 0, part = 0;
	uint8_t *bytes = encoded(list, 3, &length);

	(void)state;
	do {
		part = needed;
		assert_int_equal(decode(3, bytes, part, 3, &found, &all, &needed), 0);
	} while (needed > part);
	assert_int_equal(all.count, 3);
	qc_snapshots_clear(&all);
	free(bytes);
}

static void extra_data_decides_which_fields_are_there(void **state)
{
	const uint32_t sizes[] = {0, 7, 8, 15, 16, 23, 24, 25};
	uint8_t bytes[128];
	struct qc_snapshots all;
	struct found found;
	uint64_t needed;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct qc_disk_snapshot head = {
			.l1_table_offset = qc_be64_make(65536),
			.vm_state_size = qc_be32_make(5),
			.extra_data_size = qc_be32_make(sizes[i]),
		};

		memset(bytes, 1, sizeof(bytes));
		memcpy(bytes, &head, sizeof(head));
		assert_int_equal(decode(2, bytes, sizeof(bytes), 1, &found, &all, &needed), 0);
		assert_int_equal(found.total, 0);
		assert_true(all.list[0].vm_state_bytes
			    == (sizes[i] >= 8 ? UINT64_C(0x0101010101010101) : 5));
		assert_int_equal(all.list[0].has_disk_bytes, sizes[i] >= 16);
		assert_int_equal(all.list[0].has_icount, sizes[i] >= 24);
		assert_int_equal(all.list[0].extra_bytes, sizes[i]);
		qc_snapshots_clear(&all);
		assert_int_equal(decode(3, bytes, sizeof(bytes), 1, &found, &all, &needed), 0);
		assert_int_equal(found.count[QC_FINDING_SNAPSHOT_INCOMPLETE], sizes[i] < 16);
		qc_snapshots_clear(&all);
	}
}

static void tables_out_of_bounds_are_refused(void **state)
{
	struct qc_disk_snapshot head = {
		.l1_table_offset = qc_be64_make(65536),
		.extra_data_size = qc_be32_make(QC_SNAPSHOT_EXTRA_BYTES_MAX),
	};
	static uint8_t bytes[40 + QC_SNAPSHOT_EXTRA_BYTES_MAX];
	struct qc_snapshots all = {0};
	struct found found;
	uint64_t needed = 0;

	(void)state;
	memcpy(bytes, &head, sizeof(head));
	assert_int_equal(decode(3, bytes, sizeof(bytes), 1, &found, &all, &needed), 0);
	assert_int_equal(all.count, 1);
	qc_snapshots_clear(&all);
	assert_int_equal(decode(3, bytes, 40, 1, &found, &all, &needed), 0);
	assert_int_equal(needed, sizeof(bytes));
	head.extra_data_size = qc_be32_make(QC_SNAPSHOT_EXTRA_BYTES_MAX + 1);
	memcpy(bytes, &head, sizeof(head));
	assert_int_equal(decode(3, bytes, sizeof(bytes), 1, &found, &all, &needed), -QC_E_FORMAT);
	assert_int_equal(decode(3, bytes, sizeof(bytes), QC_SNAPSHOTS_MAX + 1, &found, &all,
				&needed),
			 -QC_E_FORMAT);
	assert_int_equal(decode(3, bytes, 0, 0, &found, &all, &needed), 0);
	assert_int_equal(all.count, 0);
}

static void a_table_has_64_mib_at_most(void **state)
{
	/* Entries of 40 + 1024 + 65535 + 8449 bytes, and a shorter last one. */
	const size_t step = 40 + 1024 + 65535 + 8449;
	const uint32_t whole = (uint32_t)(QC_SNAPSHOT_TABLE_BYTES_MAX / step);
	const size_t rest = QC_SNAPSHOT_TABLE_BYTES_MAX - whole * step;
	uint8_t *bytes = calloc(1, QC_SNAPSHOT_TABLE_BYTES_MAX + 8);
	struct qc_disk_snapshot head = {.extra_data_size = qc_be32_make(1024),
					.id_size = qc_be16_make(65535),
					.name_size = qc_be16_make(8449)};
	struct qc_snapshots all = {0};
	struct found found;
	uint64_t needed;

	(void)state;
	assert_true(step % 8 == 0 && rest >= 40 && rest - 40 < 65535);
	for (uint32_t i = 0; i < whole; i++)
		memcpy(bytes + i * step, &head, sizeof(head));
	head = (struct qc_disk_snapshot){.id_size = qc_be16_make((uint16_t)(rest - 40))};
	memcpy(bytes + whole * step, &head, sizeof(head));
	assert_int_equal(decode(2, bytes, QC_SNAPSHOT_TABLE_BYTES_MAX, whole + 1, &found, &all,
				&needed),
			 0);
	assert_int_equal(all.table_bytes, QC_SNAPSHOT_TABLE_BYTES_MAX);
	qc_snapshots_clear(&all);
	head.id_size = qc_be16_make((uint16_t)(rest - 39));
	memcpy(bytes + whole * step, &head, sizeof(head));
	assert_int_equal(decode(2, bytes, QC_SNAPSHOT_TABLE_BYTES_MAX + 8, whole + 1, &found, &all,
				&needed),
			 -QC_E_FORMAT);
	free(bytes);
}

static void what_makes_no_sense_is_found(void **state)
{
	struct qc_snapshot s = a_snapshot("1", "x");
	const struct qc_snapshot sound = s;
	const struct {
		uint64_t l1;
		uint32_t l1_entries;
		uint64_t disk_bytes;
		enum qc_finding_id id; /* QC_FINDING_COUNT: sound */
	} cases[] = {
		{65536, 4 << 20, QC_DISK_BYTES_MAX, QC_FINDING_COUNT},
		{0, 0, 0, QC_FINDING_COUNT},
		{65536, (4 << 20) + 1, 0, QC_FINDING_SNAPSHOT_L1_SIZE},
		{65536 + 512, 1, 0, QC_FINDING_SNAPSHOT_L1_PLACE},
		{0, 1, 0, QC_FINDING_SNAPSHOT_L1_PLACE},
		{UINT64_C(1) << 63, 1, 0, QC_FINDING_SNAPSHOT_L1_PLACE},
		{65536, 1, QC_DISK_BYTES_MAX + 1, QC_FINDING_SNAPSHOT_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qc_snapshots all;
		struct found found;
		uint64_t length, needed;
		uint8_t *bytes;

		s = sound;
		s.l1 = qc_host(cases[i].l1);
		s.l1_entries = cases[i].l1_entries;
		s.disk_bytes = cases[i].disk_bytes;
		bytes = encoded(&s, 1, &length);
		assert_int_equal(decode(3, bytes, length, 1, &found, &all, &needed), 0);
		if (cases[i].id == QC_FINDING_COUNT)
			assert_int_equal(found.total, 0);
		else
			assert_true(found_only(&found, cases[i].id));
		qc_snapshots_clear(&all);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_round_trip_byte_for_byte),
		cmocka_unit_test(entries_are_padded_to_8_with_zeroes),
		cmocka_unit_test(a_cut_table_asks_for_more_and_reports_nothing),
		cmocka_unit_test(asking_for_more_comes_to_an_end),
		cmocka_unit_test(extra_data_decides_which_fields_are_there),
		cmocka_unit_test(tables_out_of_bounds_are_refused),
		cmocka_unit_test(a_table_has_64_mib_at_most),
		cmocka_unit_test(what_makes_no_sense_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
