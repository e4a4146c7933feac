// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "format/journal_record.h"

static struct qc_journal_trailer a_trailer(void)
{
	return (struct qc_journal_trailer){
		.segment_offset = UINT64_C(5) << 32,
		.segment_bytes = 0x440 + 48 * 3,
		.segment_digest = UINT64_C(0x123456789abcdef0),
	};
}

static struct qc_journal_head a_head(void)
{
	struct qc_journal_head head = {
		.cluster_bits = 16,
		.records = 3,
		.file_bytes_before = UINT64_C(6) << 32,
		.file_bytes_after = UINT64_C(7) << 32,
	};

	memset(head.before, 0xbe, sizeof(head.before));
	memset(head.after, 0xaf, sizeof(head.after));
	return head;
}

static void heads_round_trip(void **state)
{
	struct qc_journal_head head = a_head(), decoded;
	struct qc_disk_journal_head disk, again;
	struct qc_err err;

	(void)state;
	qc_journal_head_encode(&head, &disk);
	assert_int_equal(qc_journal_head_decode(&disk, &decoded, &err), 0);
	assert_int_equal(decoded.cluster_bits, 16);
	assert_int_equal(decoded.records, 3);
	assert_true(decoded.file_bytes_before == head.file_bytes_before);
	assert_true(decoded.file_bytes_after == head.file_bytes_after);
	assert_memory_equal(decoded.before, head.before, 512);
	assert_memory_equal(decoded.after, head.after, 512);
	qc_journal_head_encode(&decoded, &again);
	assert_memory_equal(&disk, &again, sizeof(disk));
}

/* Flips a byte of a sound head and expects it to be refused. */
static void assert_head_refused(size_t at, uint8_t flip)
{
	struct qc_journal_head head = a_head();
	struct qc_disk_journal_head disk;
	struct qc_err err;

	qc_journal_head_encode(&head, &disk);
	((uint8_t *)&disk)[at] ^= flip;
	assert_int_equal(qc_journal_head_decode(&disk, &head, &err), -QC_E_FORMAT);
}

static void impossible_heads_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 8; i++)
		assert_head_refused(i, 1);
	assert_head_refused(offsetof(struct qc_disk_journal_head, version) + 3, 3);
	assert_head_refused(offsetof(struct qc_disk_journal_head, cluster_bits) + 3, 16 ^ 8);
	assert_head_refused(offsetof(struct qc_disk_journal_head, cluster_bits) + 3, 16 ^ 22);
	assert_head_refused(offsetof(struct qc_disk_journal_head, records), 0x80);
	assert_head_refused(offsetof(struct qc_disk_journal_head, records), 0x04);
	assert_head_refused(offsetof(struct qc_disk_journal_head, file_bytes_before), 0x80);
	assert_head_refused(offsetof(struct qc_disk_journal_head, file_bytes_after), 0x80);
	for (size_t i = 0; i < 24; i++)
		assert_head_refused(offsetof(struct qc_disk_journal_head, reserved) + i, 1);
}

static void records_of_every_kind_round_trip(void **state)
{
	struct qc_disk_journal_record disk;
	struct qc_journal_record decoded;
	struct qc_err err;

	(void)state;
	for (int kind = QC_JOURNAL_L1; kind <= QC_JOURNAL_KIND_LAST; kind++) {
		bool content = kind != QC_JOURNAL_FREED && kind != QC_JOURNAL_DATA_ZERO;
		bool data = kind == QC_JOURNAL_DATA || kind == QC_JOURNAL_DATA_ZERO;
		struct qc_journal_record record = {
			.kind = (enum qc_journal_kind)kind,
			.index = UINT64_C(1) << 40,
			.old_host = qc_host(data ? 0 : UINT64_C(3) << 33),
			.new_host = qc_host(content ? UINT64_C(5) << 33 : 0),
			.length = UINT64_C(1) << (kind == QC_JOURNAL_DATA ? 21 : 35),
			.digest = content ? UINT64_MAX - 7 : 0,
		};

		qc_journal_record_encode(&record, &disk);
		assert_int_equal(qc_journal_record_decode(&disk, &decoded, &err), 0);
		assert_int_equal(decoded.kind, kind);
		assert_true(decoded.index == record.index);
		assert_true(decoded.old_host.byte == record.old_host.byte);
		assert_true(decoded.new_host.byte == record.new_host.byte);
		assert_true(decoded.length == record.length);
		assert_true(decoded.digest == record.digest);
		assert_true(strlen(qc_journal_kind_text(record.kind)) > 0);
		assert_null(strchr(qc_journal_kind_id(record.kind), ' '));
	}
	assert_string_equal(qc_journal_kind_text(QC_JOURNAL_L2), "L2 table");
	assert_string_equal(qc_journal_kind_id(QC_JOURNAL_L2), "l2-table");
}

static void assert_record_refused(struct qc_journal_record record, uint32_t reserved)
{
	struct qc_disk_journal_record disk;
	struct qc_err err;

	qc_journal_record_encode(&record, &disk);
	disk.reserved = qc_be32_make(reserved);
	assert_int_equal(qc_journal_record_decode(&disk, &record, &err), -QC_E_FORMAT);
}

static void impossible_records_are_refused(void **state)
{
	const struct qc_journal_record sound = {.kind = QC_JOURNAL_FREED,
						.old_host = {65536},
						.length = 65536};
	struct qc_journal_record r = sound;

	(void)state;
	assert_record_refused(sound, 1);
	r.kind = (enum qc_journal_kind)0;
	assert_record_refused(r, 0);
	r.kind = (enum qc_journal_kind)(QC_JOURNAL_KIND_LAST + 1);
	assert_record_refused(r, 0);
	r = sound;
	r.old_host = qc_host(0);
	assert_record_refused(r, 0);
	r = sound;
	r.length = 0;
	assert_record_refused(r, 0);
	r = sound;
	r.new_host = qc_host(65536);
	assert_record_refused(r, 0);
	r = sound;
	r.digest = 1;
	assert_record_refused(r, 0);
	r = sound;
	r.old_host = qc_host(INT64_MAX - 65535);
	assert_record_refused(r, 0);
	r = sound;
	r.kind = QC_JOURNAL_L2;
	r.new_host = qc_host(UINT64_MAX - 65535);
	assert_record_refused(r, 0);
}

static void trailers_round_trip(void **state)
{
	struct qc_journal_trailer trailer = a_trailer(), decoded;
	struct qc_disk_journal_trailer disk;

	(void)state;
	qc_journal_trailer_encode(&trailer, &disk);
	assert_true(qc_journal_trailer_decode(&disk, &decoded));
	assert_true(decoded.segment_offset == trailer.segment_offset);
	assert_true(decoded.segment_bytes == trailer.segment_bytes);
	assert_true(decoded.segment_digest == trailer.segment_digest);
}

static void no_single_bit_flip_of_a_trailer_is_believed(void **state)
{
	struct qc_journal_trailer trailer = a_trailer(), decoded;
	struct qc_disk_journal_trailer disk;
	uint8_t *bytes = (uint8_t *)&disk;

	(void)state;
	qc_journal_trailer_encode(&trailer, &disk);
	for (size_t bit = 0; bit < sizeof(disk) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(qc_journal_trailer_decode(&disk, &decoded));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(qc_journal_trailer_decode(&disk, &decoded));
}

static void trailers_of_impossible_segments_are_none(void **state)
{
	struct qc_journal_trailer trailer = a_trailer(), decoded;
	struct qc_disk_journal_trailer disk;

	(void)state;
	memset(&disk, 0, sizeof(disk));
	assert_false(qc_journal_trailer_decode(&disk, &decoded));
	trailer.segment_bytes = sizeof(struct qc_disk_journal_head) - 1;
	qc_journal_trailer_encode(&trailer, &disk);
	assert_false(qc_journal_trailer_decode(&disk, &decoded));
	trailer.segment_bytes = UINT64_MAX - 5;
	qc_journal_trailer_encode(&trailer, &disk);
	assert_false(qc_journal_trailer_decode(&disk, &decoded));
	trailer = a_trailer();
	trailer.segment_offset = INT64_MAX - 5;
	qc_journal_trailer_encode(&trailer, &disk);
	assert_false(qc_journal_trailer_decode(&disk, &decoded));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_round_trip),
		cmocka_unit_test(impossible_heads_are_refused),
		cmocka_unit_test(records_of_every_kind_round_trip),
		cmocka_unit_test(impossible_records_are_refused),
		cmocka_unit_test(trailers_round_trip),
		cmocka_unit_test(no_single_bit_flip_of_a_trailer_is_believed),
		cmocka_unit_test(trailers_of_impossible_segments_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
