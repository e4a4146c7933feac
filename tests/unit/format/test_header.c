// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/header.h"
#include "format/limits.h"
#include "support/found.h"

#define AT(field) offsetof(struct qc_disk_header, field)

/* A sound header in the first bytes of a cluster. */
static void sound(uint8_t *bytes, uint32_t version, uint32_t cluster_bits, uint32_t header_bytes)
{
	struct qc_header header = {
		.version = version,
		.cluster_bits = cluster_bits,
		.disk_bytes = UINT64_C(1) << (2 * cluster_bits - 3),
		.l1_entries = 1,
		.l1 = {UINT64_C(1) << cluster_bits},
		.refcount_table = {UINT64_C(2) << cluster_bits},
		.refcount_table_clusters = 1,
		.refcount_order = 4,
		.header_bytes = header_bytes,
	};

	qc_header_encode(&header, bytes);
}

/* Decodes 512 bytes; what was found is in *found, the header in *ret. */
static int decode(const uint8_t *bytes, struct found *found, struct qc_header *ret,
		  struct qc_err *err)
{
	struct qc_finding_sink sink = found_sink(found);

	return qc_header_decode(bytes, 512, &sink, ret, err);
}

static void assert_sound(const uint8_t *bytes)
{
	struct qc_header header;
	struct found found;
	struct qc_err err;

	assert_int_equal(decode(bytes, &found, &header, &err), 0);
	assert_int_equal(found.total, 0);
}

static void assert_finds(const uint8_t *bytes, enum qc_finding_id id)
{
	struct qc_header header;
	struct found found;
	struct qc_err err;

	assert_int_equal(decode(bytes, &found, &header, &err), 0);
	if (!found_only(&found, id))
		fail_msg("%u findings, %u of them %s", found.total, found.count[id],
			 qc_finding_kind(id)->id);
}

static void assert_fails(const uint8_t *bytes, size_t length, enum qc_code code, const char *text)
{
	uint8_t *exact = malloc(length + 1); /* so that a sanitizer sees the end */
	struct qc_header header;
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	struct qc_err err;

	memcpy(exact, bytes, length);
	exact = realloc(exact, length ? length : 1);
	assert_int_equal(qc_header_decode(exact, length, &sink, &header, &err), -(int)code);
	assert_non_null(strstr(err.text, text));
	free(exact);
}

/* The field is sound with `good` and found with `bad`. */
static void edge32(size_t at, uint32_t good, uint32_t bad, enum qc_finding_id id)
{
	uint8_t bytes[512] = {0};

	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	qc_store_be32(bytes + at, good);
	assert_sound(bytes);
	qc_store_be32(bytes + at, bad);
	assert_finds(bytes, id);
}

static void edge64(size_t at, uint64_t good, uint64_t bad, enum qc_finding_id id)
{
	uint8_t bytes[512] = {0};

	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	qc_store_be64(bytes + at, good);
	assert_sound(bytes);
	qc_store_be64(bytes + at, bad);
	assert_finds(bytes, id);
}

static void every_cluster_size_and_version_round_trips(void **state)
{
	(void)state;
	for (uint32_t bits = QC_CLUSTER_BITS_MIN; bits <= QC_CLUSTER_BITS_MAX; bits++) {
		uint8_t bytes[512] = {0}, again[512] = {0};
		struct qc_header header;
		struct found found;
		struct qc_err err;

		sound(bytes, 3, bits, QC_HEADER_BYTES_V3);
		assert_sound(bytes);
		decode(bytes, &found, &header, &err);
		qc_header_encode(&header, again);
		assert_memory_equal(bytes, again, sizeof(bytes));
		memset(bytes, 0, sizeof(bytes));
		sound(bytes, 2, bits, QC_HEADER_BYTES_V2);
		assert_sound(bytes);
	}
}

static void what_is_no_header_is_refused(void **state)
{
	uint8_t bytes[512] = {0};

	(void)state;
	assert_fails(bytes, 512, QC_E_FORMAT, "not a qcow2 image; qemu-img info tells what it is");
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	assert_fails(bytes, 0, QC_E_FORMAT, "not a qcow2 image; qemu-img info tells what it is");
	assert_fails(bytes, 7, QC_E_FORMAT, "not a qcow2 image; qemu-img info tells what it is");
	for (size_t length = 8; length <= QC_HEADER_BYTES_V3_MIN; length++)
		assert_fails(bytes, length, QC_E_FORMAT, "ends inside the header");
	qc_store_be32(bytes + AT(version), 1);
	assert_fails(bytes, 48, QC_E_UNSUPPORTED,
		     "qcow version 1 is not supported; convert it first: "
		     "qemu-img convert -f qcow -O qcow2 OLD NEW");
	qc_store_be32(bytes + AT(version), 4);
	assert_fails(bytes, 512, QC_E_UNSUPPORTED, "version 4");
	qc_store_be32(bytes + AT(version), 0);
	assert_fails(bytes, 512, QC_E_UNSUPPORTED, "version 0");
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	bytes[0] ^= 1;
	assert_fails(bytes, 512, QC_E_FORMAT, "not a qcow2 image; qemu-img info tells what it is");
}

static void sizes_that_do_not_exist_are_refused(void **state)
{
	const uint32_t cluster_bits[] = {0, 8, 22, 32, 63, 64, UINT32_MAX};
	uint8_t bytes[512] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cluster_bits) / sizeof(cluster_bits[0]); i++) {
		sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
		qc_store_be32(bytes + AT(cluster_bits), cluster_bits[i]);
		assert_fails(bytes, 512, QC_E_FORMAT, "clusters");
	}
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	for (uint32_t order = 0; order <= 6; order++) {
		qc_store_be32(bytes + AT(refcount_order), order);
		assert_sound(bytes);
	}
	qc_store_be32(bytes + AT(refcount_order), 7);
	assert_fails(bytes, 512, QC_E_FORMAT, "refcounts");
	qc_store_be32(bytes + AT(refcount_order), UINT32_MAX);
	assert_fails(bytes, 512, QC_E_FORMAT, "refcounts");
}

static void version_2_ends_at_byte_72(void **state)
{
	uint8_t bytes[512];
	struct qc_header header;
	struct found found;
	struct qc_err err;
	struct qc_finding_sink sink = found_sink(&found);

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	sound(bytes, 2, 16, QC_HEADER_BYTES_V2);
	assert_int_equal(bytes[72], 0xff);
	assert_int_equal(decode(bytes, &found, &header, &err), 0);
	assert_int_equal(found.total, 0);
	assert_int_equal(header.incompatible | header.compatible | header.autoclear, 0);
	assert_int_equal(header.refcount_order, 4);
	assert_int_equal(header.header_bytes, 72);
	assert_int_equal(header.compression, 0);
	assert_int_equal(qc_header_decode(bytes, 72, &sink, &header, &err), 0);
	assert_fails(bytes, 71, QC_E_FORMAT, "ends inside the header");
}

static void fields_beyond_the_header_length_are_absent(void **state)
{
	uint8_t bytes[512] = {0};
	struct qc_header header;
	struct found found;
	struct qc_err err;

	(void)state;
	sound(bytes, 3, 16, 104);
	bytes[104] = QC_COMPRESSION_ZSTD; /* an extension, as far as the header goes */
	assert_sound(bytes);
	decode(bytes, &found, &header, &err);
	assert_int_equal(header.compression, QC_COMPRESSION_ZLIB);
	qc_header_encode(&header, bytes);
	assert_int_equal(bytes[104], QC_COMPRESSION_ZSTD);
	qc_store_be32(bytes + AT(header_length), 112);
	assert_finds(bytes, QC_FINDING_HEADER_COMPRESSION_TYPE);
}

static void header_lengths_have_edges(void **state)
{
	(void)state;
	edge32(AT(header_length), 104, 103, QC_FINDING_HEADER_LENGTH);
	edge32(AT(header_length), 112, 72, QC_FINDING_HEADER_LENGTH);
	edge32(AT(header_length), 65536, 65537, QC_FINDING_HEADER_LENGTH);
	edge32(AT(header_length), 120, UINT32_MAX, QC_FINDING_HEADER_LENGTH);
}

static void unknown_fields_are_kept(void **state)
{
	static uint8_t bytes[65536], before[65536];
	struct qc_header header;
	struct found found;
	struct qc_err err;

	(void)state;
	sound(bytes, 3, 16, 65536);
	memset(bytes + 105, 0xa5, sizeof(bytes) - 105); /* the padding too */
	memcpy(before, bytes, sizeof(bytes));
	assert_int_equal(decode(bytes, &found, &header, &err), 0);
	assert_int_equal(found.total, 0);
	assert_int_equal(header.header_bytes, 65536);
	qc_header_encode(&header, bytes);
	assert_memory_equal(bytes, before, sizeof(bytes));
	header.disk_bytes++;
	qc_header_encode(&header, bytes);
	assert_memory_equal(bytes + 32, before + 32, sizeof(bytes) - 32);
}

static void each_unknown_incompatible_bit_is_found(void **state)
{
	uint8_t bytes[512] = {0};
	struct qc_header header;
	struct found found;
	struct qc_err err;

	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		char number[8];

		sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
		qc_store_be64(bytes + AT(size), 1); /* subclusters halve what an L1 entry maps */
		qc_store_be64(bytes + AT(incompatible_features), UINT64_C(1) << bit);
		if (bit == 3) {
			assert_finds(bytes, QC_FINDING_HEADER_COMPRESSION_TYPE);
		} else if (bit < 5) {
			assert_sound(bytes);
		} else {
			assert_finds(bytes, QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE);
			decode(bytes, &found, &header, &err);
			snprintf(number, sizeof(number), ": %u", bit);
			assert_non_null(
				strstr(found.last[QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE].message,
				       number));
		}
	}
	qc_store_be64(bytes + AT(incompatible_features), ~(uint64_t)0x1f);
	assert_finds(bytes, QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE);
	decode(bytes, &found, &header, &err);
	assert_non_null(
		strstr(found.last[QC_FINDING_HEADER_UNKNOWN_INCOMPATIBLE].message, ": 5, 6, 7"));
}

static void compatible_and_autoclear_bits_are_taken_as_they_are(void **state)
{
	uint8_t bytes[512] = {0};
	struct qc_header header;
	struct found found;
	struct qc_err err;

	(void)state;
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	qc_store_be64(bytes + AT(compatible_features), UINT64_MAX);
	qc_store_be64(bytes + AT(autoclear_features), ~QC_AUTOCLEAR_DATA_RAW);
	assert_sound(bytes);
	decode(bytes, &found, &header, &err);
	assert_true(header.compatible == UINT64_MAX);
	qc_store_be64(bytes + AT(autoclear_features), QC_AUTOCLEAR_DATA_RAW);
	assert_finds(bytes, QC_FINDING_HEADER_DATA_RAW);
	qc_store_be64(bytes + AT(incompatible_features), QC_INCOMPAT_DATA_FILE);
	assert_sound(bytes);
}

static void compression_type_and_feature_bit_go_together(void **state)
{
	uint8_t bytes[512] = {0};

	(void)state;
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	bytes[AT(compression_type)] = 1;
	assert_finds(bytes, QC_FINDING_HEADER_COMPRESSION_TYPE);
	qc_store_be64(bytes + AT(incompatible_features), QC_INCOMPAT_COMPRESSION);
	assert_sound(bytes);
	bytes[AT(compression_type)] = 2;
	assert_finds(bytes, QC_FINDING_HEADER_COMPRESSION_TYPE);
}

static void subclusters_need_clusters_of_16_kib(void **state)
{
	uint8_t bytes[512] = {0};

	(void)state;
	sound(bytes, 3, 14, QC_HEADER_BYTES_V3);
	qc_store_be64(bytes + AT(incompatible_features), QC_INCOMPAT_EXTENDED_L2);
	qc_store_be64(bytes + AT(size), 1 << 20);
	assert_sound(bytes);
	sound(bytes, 3, 13, QC_HEADER_BYTES_V3);
	qc_store_be64(bytes + AT(incompatible_features), QC_INCOMPAT_EXTENDED_L2);
	qc_store_be64(bytes + AT(size), 1 << 20);
	assert_finds(bytes, QC_FINDING_HEADER_EXTENDED_L2_CLUSTER_SIZE);
}

static void each_limit_holds_at_its_edge_and_not_past_it(void **state)
{
	const uint64_t span = UINT64_C(512) << 20;

	(void)state;
	edge32(AT(crypt_method), 2, 3, QC_FINDING_HEADER_CRYPT_METHOD);
	edge64(AT(size), span, span + 1, QC_FINDING_HEADER_L1_SIZE);
	edge64(AT(size), 0, UINT64_MAX, QC_FINDING_HEADER_DISK_SIZE);
	edge64(AT(size), 1, QC_DISK_BYTES_MAX + 1, QC_FINDING_HEADER_DISK_SIZE);
	edge64(AT(size), 1, span * INT32_MAX + 1, QC_FINDING_HEADER_DISK_SIZE);
	edge64(AT(size), 1, span * INT32_MAX, QC_FINDING_HEADER_L1_SIZE);
	edge32(AT(l1_size), 4 << 20, (4 << 20) + 1, QC_FINDING_HEADER_L1_SIZE);
	edge32(AT(l1_size), 2, 0, QC_FINDING_HEADER_L1_SIZE);
	edge64(AT(l1_table_offset), 65536, 65536 + 512, QC_FINDING_HEADER_L1_PLACE);
	edge64(AT(l1_table_offset), INT64_MAX - 65535, UINT64_C(1) << 63,
	       QC_FINDING_HEADER_L1_PLACE);
	edge64(AT(l1_table_offset), 65536, 0, QC_FINDING_HEADER_L1_PLACE);
	edge32(AT(refcount_table_clusters), 128, 129, QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE);
	edge32(AT(refcount_table_clusters), 1, 0, QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE);
	edge32(AT(refcount_table_clusters), 1, UINT32_MAX, QC_FINDING_HEADER_REFCOUNT_TABLE_SIZE);
	edge64(AT(refcount_table_offset), 65536, 1, QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE);
	edge64(AT(refcount_table_offset), INT64_MAX - 131071, (UINT64_C(1) << 63) - 65536,
	       QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE);
	edge64(AT(refcount_table_offset), 65536, 0, QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE);
	edge64(AT(snapshots_offset), 0, 8, QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE);
	edge64(AT(snapshots_offset), 65536, UINT64_MAX - 65535,
	       QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE);
	edge32(AT(nb_snapshots), 0, 1, QC_FINDING_HEADER_SNAPSHOT_TABLE_PLACE);
}

static void snapshots_are_counted(void **state)
{
	uint8_t bytes[512] = {0};

	(void)state;
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	qc_store_be64(bytes + AT(snapshots_offset), 65536);
	qc_store_be32(bytes + AT(nb_snapshots), QC_SNAPSHOTS_MAX);
	assert_sound(bytes);
	qc_store_be32(bytes + AT(nb_snapshots), QC_SNAPSHOTS_MAX + 1);
	assert_finds(bytes, QC_FINDING_HEADER_SNAPSHOT_COUNT);
}

static void backing(uint8_t *bytes, uint64_t at, uint32_t length)
{
	qc_store_be64(bytes + AT(backing_file_offset), at);
	qc_store_be32(bytes + AT(backing_file_size), length);
}

static void backing_names_lie_in_cluster_0_behind_the_header(void **state)
{
	uint8_t bytes[512] = {0};

	(void)state;
	sound(bytes, 3, 16, QC_HEADER_BYTES_V3);
	backing(bytes, 0, UINT32_MAX); /* no backing file */
	assert_sound(bytes);
	backing(bytes, 112, 1023);
	assert_sound(bytes);
	backing(bytes, 112, 1024);
	assert_finds(bytes, QC_FINDING_HEADER_BACKING_NAME);
	backing(bytes, 111, 1);
	assert_finds(bytes, QC_FINDING_HEADER_BACKING_NAME);
	backing(bytes, 65536 - 10, 10);
	assert_sound(bytes);
	backing(bytes, 65536 - 10, 11);
	assert_finds(bytes, QC_FINDING_HEADER_BACKING_NAME);
	backing(bytes, 65536, 1);
	assert_finds(bytes, QC_FINDING_HEADER_BACKING_NAME);
	backing(bytes, UINT64_MAX, 2);
	assert_finds(bytes, QC_FINDING_HEADER_BACKING_NAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cluster_size_and_version_round_trips),
		cmocka_unit_test(what_is_no_header_is_refused),
		cmocka_unit_test(sizes_that_do_not_exist_are_refused),
		cmocka_unit_test(version_2_ends_at_byte_72),
		cmocka_unit_test(fields_beyond_the_header_length_are_absent),
		cmocka_unit_test(header_lengths_have_edges),
		cmocka_unit_test(unknown_fields_are_kept),
		cmocka_unit_test(each_unknown_incompatible_bit_is_found),
		cmocka_unit_test(compatible_and_autoclear_bits_are_taken_as_they_are),
		cmocka_unit_test(compression_type_and_feature_bit_go_together),
		cmocka_unit_test(subclusters_need_clusters_of_16_kib),
		cmocka_unit_test(each_limit_holds_at_its_edge_and_not_past_it),
		cmocka_unit_test(snapshots_are_counted),
		cmocka_unit_test(backing_names_lie_in_cluster_0_behind_the_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
