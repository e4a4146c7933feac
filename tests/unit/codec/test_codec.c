// SPDX-License-Identifier: MIT
/*
 * What holds for both compression types. Every buffer is a heap block of exactly the size that the
 * codec is told, so that a sanitizer sees each byte too many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

static const enum qc_compression types[] = {QC_COMPRESSION_ZLIB, QC_COMPRESSION_ZSTD};

static uint64_t seed = 1;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % below);
}

static struct qc_codec *open_codec(enum qc_compression type)
{
	struct qc_codec *codec;
	struct qc_err err;

	assert_int_equal(qc_codec_open(type, &codec, &err), 0);
	return codec;
}

/* Text of a kind: repeats near and far, literals, and runs. */
static void fill(uint8_t *to, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		switch (next_random(4)) {
		case 0:
			to[i] = (uint8_t)next_random(256);
			break;
		case 1:
			to[i] = 'a';
			break;
		default:
			to[i] = i > 0 ? to[next_random((uint32_t)i)] : 'b';
		}
		if (i > 3000 && next_random(8) == 0)
			for (size_t n = 0; n < 100 && i + 1 < length; n++, i++)
				to[i + 1] = to[i + 1 - 2900];
	}
}

/* A compressed cluster in a block of its own size. */
static uint8_t *compressed(struct qc_codec *codec, const uint8_t *cluster, size_t cluster_bytes,
			   size_t *ret_bytes)
{
	uint8_t *room = malloc(cluster_bytes);
	struct qc_err err;

	assert_non_null(room);
	*ret_bytes = SIZE_MAX;
	assert_int_equal(qc_codec_compress(codec, cluster, cluster_bytes, room, ret_bytes, &err),
			 0);
	assert_true(*ret_bytes < cluster_bytes);
	if (*ret_bytes == 0) {
		free(room);
		return NULL;
	}
	return realloc(room, *ret_bytes);
}

static void every_cluster_size_survives_a_round_trip(void **state)
{
	(void)state;
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *codec = open_codec(types[t]);

		for (unsigned int bits = 9; bits <= 21; bits += 2) {
			size_t bytes = (size_t)1 << bits;
			uint8_t *cluster = malloc(bytes);
			uint8_t *back = malloc(bytes);
			size_t packed_bytes;
			uint8_t *packed;
			struct qc_err err;

			fill(cluster, bytes);
			memset(cluster, 'x', bytes / 2);
			packed = compressed(codec, cluster, bytes, &packed_bytes);
			assert_non_null(packed);
			assert_int_equal(qc_codec_decompress(codec, packed, packed_bytes, back,
							     bytes, &err),
					 0);
			assert_memory_equal(back, cluster, bytes);
			free(packed);
			free(back);
			free(cluster);
		}
		qc_codec_close(codec);
	}
}

static void what_does_not_get_smaller_is_said_so(void **state)
{
	uint8_t cluster[4096];
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(cluster); i++)
		cluster[i] = (uint8_t)next_random(256);
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *codec = open_codec(types[t]);

		assert_null(compressed(codec, cluster, sizeof(cluster), &bytes));
		assert_int_equal(bytes, 0);
		qc_codec_close(codec);
	}
}

static void the_same_cluster_gives_the_same_bytes_whatever_came_before(void **state)
{
	uint8_t first[8192];
	uint8_t second[8192];

	(void)state;
	fill(first, sizeof(first));
	memset(second, 'y', sizeof(second));
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *used = open_codec(types[t]);
		struct qc_codec *fresh = open_codec(types[t]);
		size_t a_bytes, b_bytes, c_bytes;
		uint8_t *a = compressed(used, first, sizeof(first), &a_bytes);
		uint8_t *c = compressed(used, second, sizeof(second), &c_bytes);
		uint8_t *b = compressed(fresh, second, sizeof(second), &b_bytes);

		assert_non_null(b);
		assert_int_equal(b_bytes, c_bytes);
		assert_memory_equal(b, c, b_bytes);
		free(a);
		free(b);
		free(c);
		qc_codec_close(used);
		qc_codec_close(fresh);
	}
}

static void trailing_garbage_is_not_looked_at(void **state)
{
	uint8_t cluster[4096];

	(void)state;
	memset(cluster, 'z', sizeof(cluster));
	fill(cluster, 1000);
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *codec = open_codec(types[t]);
		uint8_t back[4096];
		size_t bytes;
		uint8_t *packed = compressed(codec, cluster, sizeof(cluster), &bytes);
		struct qc_err err;

		for (size_t more = 1; more < 1024; more += 31) {
			uint8_t *longer = malloc(bytes + more);

			memcpy(longer, packed, bytes);
			memset(longer + bytes, (int)more, more);
			assert_int_equal(qc_codec_decompress(codec, longer, bytes + more, back,
							     sizeof(back), &err),
					 0);
			assert_memory_equal(back, cluster, sizeof(back));
			free(longer);
		}
		free(packed);
		qc_codec_close(codec);
	}
}

static void every_truncation_is_an_error_or_exact(void **state)
{
	uint8_t cluster[2048];

	(void)state;
	fill(cluster, sizeof(cluster));
	memset(cluster + 1024, 0, 1024);
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *codec = open_codec(types[t]);
		size_t bytes;
		uint8_t *packed = compressed(codec, cluster, sizeof(cluster), &bytes);
		unsigned int refused = 0;

		for (size_t cut = 0; cut < bytes; cut++) {
			uint8_t *shorter = malloc(cut ? cut : 1);
			uint8_t *back = malloc(sizeof(cluster));
			struct qc_err err;

			memcpy(shorter, packed, cut);
			if (qc_codec_decompress(codec, shorter, cut, back, sizeof(cluster), &err)
			    == 0) {
				assert_memory_equal(back, cluster, sizeof(cluster));
			} else {
				assert_int_equal(err.code, QC_E_FORMAT);
				refused++;
			}
			free(shorter);
			free(back);
		}
		/* Only the very end of a stream may be without meaning. */
		assert_true(refused >= bytes - 4);
		free(packed);
		qc_codec_close(codec);
	}
}

static void flipped_bits_never_overflow(void **state)
{
	uint8_t cluster[4096];

	(void)state;
	fill(cluster, sizeof(cluster));
	memset(cluster + 2048, 'q', 2048);
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *codec = open_codec(types[t]);
		size_t bytes;
		uint8_t *packed = compressed(codec, cluster, sizeof(cluster), &bytes);
		unsigned int refused = 0;

		for (unsigned int i = 0; i < 4000; i++) {
			uint8_t *damaged = malloc(bytes);
			uint8_t *back = malloc(sizeof(cluster));
			struct qc_err err;

			memcpy(damaged, packed, bytes);
			for (uint32_t n = next_random(3) + 1; n > 0; n--)
				damaged[next_random((uint32_t)bytes)] ^=
					(uint8_t)(1u << next_random(8));
			if (qc_codec_decompress(codec, damaged, bytes, back, sizeof(cluster), &err)
			    < 0) {
				assert_int_equal(err.code, QC_E_FORMAT);
				refused++;
			}
			free(damaged);
			free(back);
		}
		assert_true(refused > 100);
		free(packed);
		qc_codec_close(codec);
	}
}

static void a_stream_of_less_than_the_cluster_is_an_error(void **state)
{
	uint8_t cluster[2048];

	(void)state;
	memset(cluster, 's', sizeof(cluster));
	for (size_t t = 0; t < 2; t++) {
		struct qc_codec *codec = open_codec(types[t]);
		size_t bytes;
		uint8_t *packed = compressed(codec, cluster, sizeof(cluster), &bytes);
		uint8_t *back = malloc(4096);
		struct qc_err err;

		assert_int_equal(qc_codec_decompress(codec, packed, bytes, back, 4096, &err),
				 -QC_E_FORMAT);
		assert_string_equal(err.text, "compressed data ends after 2048 of the cluster's "
					      "4096 bytes");
		free(back);
		free(packed);
		qc_codec_close(codec);
	}
}

static void unknown_types_and_absurd_lengths_are_refused(void **state)
{
	struct qc_codec *codec = NULL;
	uint8_t byte[2] = {0};
	size_t bytes;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_codec_open((enum qc_compression)2, &codec, &err), -QC_E_UNSUPPORTED);
	assert_null(codec);
	codec = open_codec(QC_COMPRESSION_ZLIB);
	assert_int_equal(qc_codec_compress(codec, byte, 0, byte, &bytes, &err), -QC_E_ARGUMENT);
	assert_int_equal(qc_codec_decompress(codec, byte, 1, byte, SIZE_MAX, &err), -QC_E_ARGUMENT);
	qc_codec_close(codec);
	qc_codec_close(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cluster_size_survives_a_round_trip),
		cmocka_unit_test(what_does_not_get_smaller_is_said_so),
		cmocka_unit_test(the_same_cluster_gives_the_same_bytes_whatever_came_before),
		cmocka_unit_test(trailing_garbage_is_not_looked_at),
		cmocka_unit_test(every_truncation_is_an_error_or_exact),
		cmocka_unit_test(flipped_bits_never_overflow),
		cmocka_unit_test(a_stream_of_less_than_the_cluster_is_an_error),
		cmocka_unit_test(unknown_types_and_absurd_lengths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
