// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "format/bitmap_directory.h"
#include "format/disk_layout.h"
#include "format/limits.h"
#include "support/found.h"

static struct qc_bitmap a_bitmap(char *name)
{
	return (struct qc_bitmap){
		.table = qc_host(UINT64_C(9) << 32),
		.table_entries = 3,
		.flags = QC_BITMAP_AUTO,
		.type = 1,
		.granularity_bits = 16,
		.name = name,
		.name_bytes = (uint16_t)strlen(name),
	};
}

static uint8_t *encoded(struct qc_bitmap *list, size_t count, uint64_t *ret_bytes)
{
	struct qc_bitmaps all = {.list = list, .count = count};
	uint8_t *bytes;

	*ret_bytes = qc_bitmaps_encoded_bytes(&all);
	bytes = malloc((size_t)*ret_bytes);
	memset(bytes, 0xaa, (size_t)*ret_bytes);
	qc_bitmaps_encode(&all, bytes);
	return bytes;
}

static int decode(const uint8_t *bytes, uint64_t length, uint32_t count, struct found *found,
		  struct qc_bitmaps *ret)
{
	struct qc_finding_sink sink = found_sink(found);
	struct qc_err err;

	return qc_bitmaps_decode(bytes, (size_t)length, count, &sink, ret, &err);
}

static void directories_round_trip_byte_for_byte(void **state)
{
	uint8_t extra[] = {1, 2, 3, 4, 5};
	struct qc_bitmap list[3] = {a_bitmap("a"), a_bitmap("12345678"), a_bitmap("c")};
	struct qc_bitmaps all;
	struct found found;
	uint64_t length, again_length;
	uint8_t *bytes, *again;

	(void)state;
	list[1].flags = QC_BITMAP_FLAGS_KNOWN;
	list[1].extra = extra;
	list[1].extra_bytes = sizeof(extra);
	bytes = encoded(list, 3, &length);
	assert_int_equal(length, 32 + 40 + 32);
	assert_int_equal(decode(bytes, length, 3, &found, &all), 0);
	assert_int_equal(found.total, 0);
	assert_int_equal(all.count, 3);
	assert_string_equal(all.list[0].name, "a");
	assert_string_equal(all.list[1].name, "12345678");
	assert_memory_equal(all.list[1].extra, extra, sizeof(extra));
	assert_int_equal(all.list[1].flags, QC_BITMAP_FLAGS_KNOWN);
	assert_true(all.list[2].table.byte == UINT64_C(9) << 32);
	assert_int_equal(all.list[2].table_entries, 3);
	assert_int_equal(all.list[2].granularity_bits, 16);
	again = encoded(all.list, all.count, &again_length);
	assert_int_equal(again_length, length);
	assert_memory_equal(again, bytes, (size_t)length);
	free(again);
	free(bytes);
	qc_bitmaps_clear(&all);
	qc_bitmaps_clear(&all);
}

static void a_directory_has_exactly_its_entries(void **state)
{
	struct qc_bitmap list[2] = {a_bitmap("first"), a_bitmap("second name")};
	struct qc_bitmaps all = {0};
	struct found found;
	uint64_t length;
	uint8_t *bytes = encoded(list, 2, &length);

	(void)state;
	for (uint64_t part = 0; part < length; part++) {
		uint8_t *exact = malloc((size_t)(part ? part : 1));

		memcpy(exact, bytes, (size_t)part);
		assert_int_equal(decode(exact, part, 2, &found, &all), -QC_E_FORMAT);
		free(exact);
	}
	assert_int_equal(decode(bytes, length, 1, &found, &all), -QC_E_FORMAT);
	assert_int_equal(decode(bytes, length, 3, &found, &all), -QC_E_FORMAT);
	assert_int_equal(decode(bytes, length, UINT32_MAX, &found, &all), -QC_E_FORMAT);
	assert_null(all.list);
	assert_int_equal(decode(bytes, 0, 0, &found, &all), 0);
	assert_int_equal(all.count, 0);
	qc_bitmaps_clear(&all);
	free(bytes);
}

static void lengths_that_overflow_are_refused(void **state)
{
	struct qc_disk_bitmap head = {.extra_data_size = qc_be32_make(UINT32_MAX),
				      .name_size = qc_be16_make(UINT16_MAX)};
	struct qc_bitmaps all = {0};
	struct found found;

	(void)state;
	assert_int_equal(decode((const uint8_t *)&head, sizeof(head), 1, &found, &all),
			 -QC_E_FORMAT);
	head.extra_data_size = qc_be32_make(UINT32_MAX - 23);
	head.name_size = qc_be16_make(0);
	assert_int_equal(decode((const uint8_t *)&head, sizeof(head), 1, &found, &all),
			 -QC_E_FORMAT);
}

static void assert_verdict(struct qc_bitmap bitmap, bool sound)
{
	struct qc_bitmaps all;
	struct found found;
	uint64_t length;
	uint8_t *bytes = encoded(&bitmap, 1, &length);

	assert_int_equal(decode(bytes, length, 1, &found, &all), 0);
	assert_true(sound ? found.total == 0 : found_only(&found, QC_FINDING_BITMAPS_MALFORMED));
	assert_int_equal(all.count, 1);
	qc_bitmaps_clear(&all);
	free(bytes);
}

#define ASSERT_FIELD(field, value, sound)                                                          \
	do {                                                                                       \
		struct qc_bitmap bitmap_ = a_bitmap("name");                                       \
		bitmap_.field = value;                                                             \
		assert_verdict(bitmap_, sound);                                                    \
	} while (0)

static void each_field_has_limits(void **state)
{
	char longest[QC_BITMAP_NAME_BYTES_MAX + 2];

	(void)state;
	ASSERT_FIELD(type, 1, true);
	ASSERT_FIELD(type, 0, false);
	ASSERT_FIELD(type, 2, false);
	ASSERT_FIELD(flags, QC_BITMAP_FLAGS_KNOWN, true);
	for (unsigned int bit = 3; bit < 32; bit++)
		ASSERT_FIELD(flags, UINT32_C(1) << bit, false);
	ASSERT_FIELD(granularity_bits, 9, true);
	ASSERT_FIELD(granularity_bits, 8, false);
	ASSERT_FIELD(granularity_bits, 31, true);
	ASSERT_FIELD(granularity_bits, 32, false);
	ASSERT_FIELD(table_entries, 0, false);
	ASSERT_FIELD(table_entries, UINT32_C(0x8000000), true);
	ASSERT_FIELD(table_entries, UINT32_C(0x8000001), false);
	ASSERT_FIELD(table, qc_host(0), false);
	ASSERT_FIELD(table, qc_host(512), true);
	ASSERT_FIELD(table, qc_host(513), false);
	ASSERT_FIELD(table, qc_host(UINT64_C(1) << 63), false);
	memset(longest, 'n', sizeof(longest));
	longest[QC_BITMAP_NAME_BYTES_MAX + 1] = '\0';
	assert_verdict(a_bitmap(longest), false);
	longest[QC_BITMAP_NAME_BYTES_MAX] = '\0';
	assert_verdict(a_bitmap(longest), true);
	longest[0] = '\0';
	assert_verdict(a_bitmap(longest), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories_round_trip_byte_for_byte),
		cmocka_unit_test(a_directory_has_exactly_its_entries),
		cmocka_unit_test(lengths_that_overflow_are_refused),
		cmocka_unit_test(each_field_has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
