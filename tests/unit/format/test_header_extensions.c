// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "format/header_extensions.h"
#include "support/found.h"

#define CLUSTER_BYTES 4096u
#define UNKNOWN 0x12345678u

/* Cluster 0 under construction, and what decoding it gave. */
struct fixture {
	struct qc_header header;
	uint8_t cluster0[CLUSTER_BYTES];
	uint32_t offset;
	struct found found;
	struct qc_extensions extensions;
};

static void start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->header = (struct qc_header){.version = 3,
				       .cluster_bits = 12,
				       .header_bytes = QC_HEADER_BYTES_V3};
	f->offset = f->header.header_bytes;
}

static void put(struct fixture *f, uint32_t type, const void *payload, uint32_t bytes)
{
	assert_true(
		qc_extension_encode(type, payload, bytes, f->cluster0, CLUSTER_BYTES, &f->offset));
}

/* Decodes from a copy of exactly that length, so that a sanitizer sees the end. */
static void decode_length(struct fixture *f, size_t length)
{
	struct qc_finding_sink sink = found_sink(&f->found);
	uint8_t *exact = malloc(length ? length : 1);
	struct qc_err err;

	memcpy(exact, f->cluster0, length);
	qc_extensions_clear(&f->extensions);
	assert_int_equal(qc_extensions_decode(&f->header, exact, length, &sink, &f->extensions,
					      &err),
			 0);
	free(exact);
}

static void decode(struct fixture *f)
{
	decode_length(f, CLUSTER_BYTES);
}

static struct qc_disk_bitmaps_extension sound_bitmaps(void)
{
	return (struct qc_disk_bitmaps_extension){
		.nb_bitmaps = qc_be32_make(2),
		.bitmap_directory_size = qc_be64_make(64),
		.bitmap_directory_offset = qc_be64_make(5 * CLUSTER_BYTES),
	};
}

static void an_empty_area_has_nothing(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	assert_int_equal(f.extensions.count, 0);
	assert_int_equal(f.extensions.end_offset, QC_HEADER_BYTES_V3 + 8);
	assert_string_equal(f.extensions.backing_format, "");
	assert_false(f.extensions.has_bitmaps);
}

static void all_are_kept_in_order_and_known_ones_decoded(void **state)
{
	struct qc_disk_bitmaps_extension bitmaps = sound_bitmaps();
	struct qc_disk_crypto_extension crypto = {qc_be64_make(8 * CLUSTER_BYTES),
						  qc_be64_make(1000)};
	struct fixture f;

	(void)state;
	start(&f);
	f.header.crypt_method = QC_CRYPT_LUKS;
	f.header.autoclear = QC_AUTOCLEAR_BITMAPS;
	put(&f, UNKNOWN, "abcde", 5);
	put(&f, QC_EXTENSION_BACKING_FORMAT, "qcow2", 5);
	put(&f, QC_EXTENSION_BITMAPS, &bitmaps, sizeof(bitmaps));
	put(&f, QC_EXTENSION_CRYPTO, &crypto, sizeof(crypto));
	put(&f, UNKNOWN, "", 0);
	put(&f, QC_EXTENSION_DATA_FILE, "data.raw", 8);
	put(&f, QC_EXTENSION_END, NULL, 0);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	assert_int_equal(f.extensions.count, 6);
	assert_int_equal(f.extensions.list[0].type, UNKNOWN);
	assert_int_equal(f.extensions.list[0].bytes, 5);
	assert_memory_equal(f.cluster0 + f.extensions.list[0].offset, "abcde\0\0\0", 8);
	assert_int_equal(f.extensions.list[4].bytes, 0);
	assert_int_equal(f.extensions.end_offset, f.offset);
	assert_string_equal(f.extensions.backing_format, "qcow2");
	assert_true(f.extensions.has_bitmaps);
	assert_int_equal(f.extensions.bitmaps, 2);
	assert_int_equal(f.extensions.bitmap_directory.byte, 5 * CLUSTER_BYTES);
	assert_int_equal(f.extensions.bitmap_directory_bytes, 64);
	assert_true(f.extensions.has_crypto);
	assert_int_equal(f.extensions.crypto_header_bytes, 1000);
	assert_true(f.extensions.has_data_file);
	assert_memory_equal(f.cluster0 + f.extensions.data_file_offset, "data.raw", 8);
	qc_extensions_clear(&f.extensions);
	qc_extensions_clear(&f.extensions);
}

static void the_area_may_end_without_a_mark(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, UNKNOWN, "abc", 3);
	f.header.backing_name = qc_host(f.offset);
	memset(f.cluster0 + f.offset, 'n', 20);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	assert_int_equal(f.extensions.count, 1);
	assert_int_equal(f.extensions.end_offset, f.offset);
	/* A name right behind the payload takes the place of its padding. */
	f.header.backing_name = qc_host(f.offset - 5);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	assert_int_equal(f.extensions.end_offset, f.offset - 5);
	/* The name cuts the payload. */
	f.header.backing_name = qc_host(f.offset - 6);
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_EXTENSION_MALFORMED));
	assert_int_equal(f.extensions.count, 0);
	qc_extensions_clear(&f.extensions);
}

static void a_gap_too_short_for_a_head_is_malformed(void **state)
{
	struct fixture f;

	(void)state;
	for (uint32_t gap = 0; gap <= 8; gap++) {
		start(&f);
		f.header.backing_name = qc_host(f.offset + gap);
		decode(&f);
		assert_int_equal(f.found.total, gap > 0 && gap < 8);
		assert_int_equal(f.extensions.count, 0);
	}
}

static void the_end_of_the_file_ends_the_area(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, UNKNOWN, "12345678", 8);
	put(&f, UNKNOWN, "12345678", 8);
	for (size_t length = 0; length <= f.offset; length++) {
		decode_length(&f, length);
		assert_int_equal(f.extensions.count, length < 128 ? 0 : length < 144 ? 1 : 2);
		assert_int_equal(f.found.total, length > 112 && length % 16 != 0);
	}
	qc_extensions_clear(&f.extensions);
}

static void a_length_past_the_end_is_malformed(void **state)
{
	const uint32_t lengths[] = {CLUSTER_BYTES - 119, CLUSTER_BYTES, INT32_MAX, UINT32_MAX - 7,
				    UINT32_MAX};
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, UNKNOWN, "", 0);
	qc_store_be32(f.cluster0 + 116, CLUSTER_BYTES - 120);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	assert_int_equal(f.extensions.count, 1);
	assert_int_equal(f.extensions.end_offset, CLUSTER_BYTES);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		qc_store_be32(f.cluster0 + 116, lengths[i]);
		decode(&f);
		assert_true(found_only(&f.found, QC_FINDING_EXTENSION_MALFORMED));
		assert_int_equal(f.extensions.count, 0);
	}
	qc_extensions_clear(&f.extensions);
}

static void impossible_headers_and_names_give_no_extensions(void **state)
{
	const uint32_t lengths[] = {CLUSTER_BYTES, CLUSTER_BYTES + 1, UINT32_MAX};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		start(&f);
		f.header.header_bytes = lengths[i];
		decode(&f);
		assert_int_equal(f.extensions.count, 0);
	}
	start(&f);
	f.header.backing_name = qc_host(UINT64_MAX);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	f.header.backing_name = qc_host(1);
	decode(&f);
	assert_int_equal(f.extensions.count, 0);
}

static void known_types_occur_once(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, QC_EXTENSION_BACKING_FORMAT, "raw", 3);
	put(&f, QC_EXTENSION_BACKING_FORMAT, "qcow2", 5);
	put(&f, UNKNOWN, "", 0);
	put(&f, UNKNOWN, "", 0);
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_EXTENSION_DUPLICATE));
	assert_string_equal(f.extensions.backing_format, "raw");
	assert_int_equal(f.extensions.count, 3);
	qc_extensions_clear(&f.extensions);
}

static void format_names_have_15_bytes_at_most(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, QC_EXTENSION_BACKING_FORMAT, "123456789012345", 15);
	decode(&f);
	assert_int_equal(f.found.total, 0);
	assert_string_equal(f.extensions.backing_format, "123456789012345");
	qc_extensions_clear(&f.extensions);
	start(&f);
	put(&f, QC_EXTENSION_BACKING_FORMAT, "1234567890123456", 16);
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_EXTENSION_MALFORMED));
	assert_string_equal(f.extensions.backing_format, "");
	qc_extensions_clear(&f.extensions);
}

/* Decodes one bitmaps extension; true if it was believed without a word. */
static bool bitmaps_are_sound(struct qc_disk_bitmaps_extension bitmaps, uint32_t bytes)
{
	struct fixture f;
	bool sound;

	start(&f);
	f.header.autoclear = QC_AUTOCLEAR_BITMAPS;
	put(&f, QC_EXTENSION_BITMAPS, &bitmaps, bytes);
	decode(&f);
	sound = f.extensions.has_bitmaps;
	assert_int_equal(f.extensions.count, sound);
	assert_true(sound ? f.found.total == 0
			  : found_only(&f.found, QC_FINDING_EXTENSION_MALFORMED));
	qc_extensions_clear(&f.extensions);
	return sound;
}

static void each_field_of_the_bitmaps_extension_has_limits(void **state)
{
	struct qc_disk_bitmaps_extension b = sound_bitmaps();

	(void)state;
	assert_true(bitmaps_are_sound(b, sizeof(b)));
	assert_false(bitmaps_are_sound(b, sizeof(b) - 1));
	b.reserved = qc_be32_make(1);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b = sound_bitmaps();
	b.nb_bitmaps = qc_be32_make(0);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b.nb_bitmaps = qc_be32_make(QC_BITMAPS_MAX);
	assert_true(bitmaps_are_sound(b, sizeof(b)));
	b.nb_bitmaps = qc_be32_make(QC_BITMAPS_MAX + 1);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b = sound_bitmaps();
	b.bitmap_directory_size = qc_be64_make(QC_BITMAP_DIRECTORY_BYTES_MAX);
	assert_true(bitmaps_are_sound(b, sizeof(b)));
	b.bitmap_directory_size = qc_be64_make(QC_BITMAP_DIRECTORY_BYTES_MAX + 1);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b.bitmap_directory_size = qc_be64_make(0);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b = sound_bitmaps();
	b.bitmap_directory_offset = qc_be64_make(5 * CLUSTER_BYTES + 512);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b.bitmap_directory_offset = qc_be64_make(UINT64_C(1) << 63);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
	b.bitmap_directory_offset = qc_be64_make(0);
	assert_false(bitmaps_are_sound(b, sizeof(b)));
}

static void bitmaps_without_the_autoclear_bit_are_stale(void **state)
{
	struct qc_disk_bitmaps_extension bitmaps = sound_bitmaps();
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, QC_EXTENSION_BITMAPS, &bitmaps, sizeof(bitmaps));
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_BITMAPS_STALE));
	assert_int_equal(qc_finding_kind(QC_FINDING_BITMAPS_STALE)->severity, QC_SEVERITY_NOTE);
	assert_false(f.extensions.has_bitmaps);
	assert_int_equal(f.extensions.count, 1);
	qc_extensions_clear(&f.extensions);
}

static void encryption_and_its_header_go_together(void **state)
{
	struct qc_disk_crypto_extension crypto = {qc_be64_make(CLUSTER_BYTES), qc_be64_make(8)};
	struct fixture f;

	(void)state;
	start(&f);
	put(&f, QC_EXTENSION_CRYPTO, &crypto, sizeof(crypto));
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_EXTENSION_MALFORMED));
	f.header.crypt_method = QC_CRYPT_LUKS;
	decode(&f);
	assert_int_equal(f.found.total, 0);
	qc_store_be64(f.cluster0 + 120, CLUSTER_BYTES + 8);
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_EXTENSION_MALFORMED));
	qc_extensions_clear(&f.extensions);
	start(&f);
	f.header.crypt_method = QC_CRYPT_LUKS;
	decode(&f);
	assert_true(found_only(&f.found, QC_FINDING_HEADER_CRYPT_METHOD));
}

static void encoding_stops_at_its_limit(void **state)
{
	uint8_t bytes[64];
	uint32_t offset = 16;

	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	assert_false(qc_extension_encode(UNKNOWN, "123456789", 9, bytes, 39, &offset));
	assert_false(qc_extension_encode(UNKNOWN, "", UINT32_MAX, bytes, 64, &offset));
	assert_int_equal(offset, 16);
	assert_int_equal(bytes[16], 0xaa);
	assert_true(qc_extension_encode(UNKNOWN, "123456789", 9, bytes, 40, &offset));
	assert_int_equal(offset, 40);
	assert_memory_equal(bytes + 24, "123456789\0\0\0\0\0\0\0", 16);
	assert_int_equal(bytes[40], 0xaa);
	assert_int_equal(bytes[15], 0xaa);
}

static void feature_names_are_found_and_made_printable(void **state)
{
	struct qc_disk_feature_name names[2] = {{0, 7, "seven\n"}, {2, 7, "x"}};
	struct fixture f;
	char name[47];

	(void)state;
	memset(names[1].name, 'y', sizeof(names[1].name));
	start(&f);
	decode(&f);
	qc_feature_name(&f.extensions, f.cluster0, 0, 7, name);
	assert_string_equal(name, "");
	put(&f, QC_EXTENSION_FEATURE_NAMES, names, sizeof(names) - 1);
	decode(&f);
	qc_feature_name(&f.extensions, f.cluster0, 0, 7, name);
	assert_string_equal(name, "seven?");
	qc_feature_name(&f.extensions, f.cluster0, 2, 7, name); /* cut short: not there */
	assert_string_equal(name, "");
	qc_extensions_clear(&f.extensions);
	start(&f);
	put(&f, QC_EXTENSION_FEATURE_NAMES, names, sizeof(names));
	decode(&f);
	qc_feature_name(&f.extensions, f.cluster0, 2, 7, name);
	assert_int_equal(strlen(name), 46);
	qc_feature_name(&f.extensions, f.cluster0, 1, 7, name);
	assert_string_equal(name, "");
	qc_extensions_clear(&f.extensions);
}

static void random_bytes_are_survived(void **state)
{
	struct fixture f;
	uint64_t random = 88172645463325252u;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		start(&f);
		for (size_t i = 112; i < 512; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			f.cluster0[i] = (uint8_t)(i % 8 < 7 ? 0 : random);
		}
		decode_length(&f, (size_t)(112 + random % 400));
		assert_true(f.extensions.end_offset <= CLUSTER_BYTES);
		for (size_t i = 0; i < f.extensions.count; i++)
			assert_true(f.extensions.list[i].offset + f.extensions.list[i].bytes
				    <= 512);
		qc_extensions_clear(&f.extensions);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_area_has_nothing),
		cmocka_unit_test(all_are_kept_in_order_and_known_ones_decoded),
		cmocka_unit_test(the_area_may_end_without_a_mark),
		cmocka_unit_test(a_gap_too_short_for_a_head_is_malformed),
		cmocka_unit_test(the_end_of_the_file_ends_the_area),
		cmocka_unit_test(a_length_past_the_end_is_malformed),
		cmocka_unit_test(impossible_headers_and_names_give_no_extensions),
		cmocka_unit_test(known_types_occur_once),
		cmocka_unit_test(format_names_have_15_bytes_at_most),
		cmocka_unit_test(each_field_of_the_bitmaps_extension_has_limits),
		cmocka_unit_test(bitmaps_without_the_autoclear_bit_are_stale),
		cmocka_unit_test(encryption_and_its_header_go_together),
		cmocka_unit_test(encoding_stops_at_its_limit),
		cmocka_unit_test(feature_names_are_found_and_made_printable),
		cmocka_unit_test(random_bytes_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
