// SPDX-License-Identifier: MIT
/*
 * The verdicts must be those of plain zlib as QEMU calls it, although another library does most of
 * the work. So plain zlib stands beside it here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "codec/codec.h"

#define CLUSTER_BYTES 4096u

static struct qc_codec *codec;
static uint8_t cluster[2 * CLUSTER_BYTES];
static uint64_t seed = 1;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % below);
}

static int set_up(void **state)
{
	struct qc_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cluster); i++)
		cluster[i] = next_random(3) == 0 ? (uint8_t)next_random(256)
						 : cluster[next_random((uint32_t)i + 1)];
	return qc_codec_open(QC_COMPRESSION_ZLIB, &codec, &err);
}

static int tear_down(void **state)
{
	(void)state;
	qc_codec_close(codec);
	return 0;
}

static size_t deflate_with(int level, int window_bits, int strategy, const void *from,
			   size_t from_bytes, uint8_t *to, size_t to_bytes)
{
	z_stream stream = {0};

	assert_int_equal(deflateInit2(&stream, level, Z_DEFLATED, window_bits, 9, strategy), Z_OK);
	stream.next_in = (Bytef *)(uintptr_t)from;
	stream.avail_in = (uInt)from_bytes;
	stream.next_out = to;
	stream.avail_out = (uInt)to_bytes;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return to_bytes - stream.avail_out;
}

/* A cluster is good if it is full and nothing wrong was met, whatever comes after. */
static bool zlib_accepts(const uint8_t *from, size_t from_bytes, uint8_t *to)
{
	z_stream stream = {0};
	int status;

	assert_int_equal(inflateInit2(&stream, -12), Z_OK);
	stream.next_in = (Bytef *)(uintptr_t)from;
	stream.avail_in = (uInt)from_bytes;
	stream.next_out = to;
	stream.avail_out = CLUSTER_BYTES;
	status = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	return (status == Z_STREAM_END || status == Z_BUF_ERROR) && stream.avail_out == 0;
}

/* Checks one input against zlib; returns the verdict. */
static bool compare_verdicts(const uint8_t *from, size_t from_bytes)
{
	uint8_t *exact = malloc(from_bytes ? from_bytes : 1);
	uint8_t *ours = malloc(CLUSTER_BYTES);
	uint8_t *theirs = malloc(CLUSTER_BYTES);
	struct qc_err err;
	bool accepted;

	memcpy(exact, from, from_bytes);
	accepted = zlib_accepts(exact, from_bytes, theirs);
	assert_int_equal(qc_codec_decompress(codec, exact, from_bytes, ours, CLUSTER_BYTES, &err),
			 accepted ? 0 : -QC_E_FORMAT);
	if (accepted)
		assert_memory_equal(ours, theirs, CLUSTER_BYTES);
	free(exact);
	free(ours);
	free(theirs);
	return accepted;
}

static void a_stream_that_goes_on_past_a_full_cluster_is_good(void **state)
{
	uint8_t packed[3 * CLUSTER_BYTES];
	size_t bytes = deflate_with(6, -12, Z_DEFAULT_STRATEGY, cluster, 2 * CLUSTER_BYTES, packed,
				    sizeof(packed));

	(void)state;
	assert_true(compare_verdicts(packed, bytes));
	/* So is one that is cut where nobody looks any more. */
	assert_true(compare_verdicts(packed, bytes - 10));
}

static void every_cut_has_zlibs_verdict(void **state)
{
	uint8_t packed[2 * CLUSTER_BYTES];
	size_t bytes = deflate_with(6, -12, Z_DEFAULT_STRATEGY, cluster, CLUSTER_BYTES, packed,
				    sizeof(packed));
	size_t accepted = 0;

	(void)state;
	for (size_t cut = 0; cut <= bytes; cut++)
		accepted += compare_verdicts(packed, cut);
	assert_in_range(accepted, 1, 4);
}

static void streams_of_other_writers_are_read(void **state)
{
	static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE};
	uint8_t packed[2 * CLUSTER_BYTES];
	size_t bytes;

	(void)state;
	for (size_t s = 0; s < 4; s++)
		for (int level = 0; level <= 9; level++)
			for (int window_bits = 9; window_bits <= 15; window_bits++) {
				bytes = deflate_with(level, -window_bits, strategies[s], cluster,
						     CLUSTER_BYTES, packed, sizeof(packed));
				assert_true(compare_verdicts(packed, bytes));
			}
}

static void a_zlib_header_is_not_accepted(void **state)
{
	uint8_t packed[2 * CLUSTER_BYTES];
	size_t bytes = deflate_with(6, 12, Z_DEFAULT_STRATEGY, cluster, CLUSTER_BYTES, packed,
				    sizeof(packed));

	(void)state;
	assert_false(compare_verdicts(packed, bytes));
}

static void our_bytes_are_those_of_a_12_bit_window_at_the_default_level(void **state)
{
	uint8_t packed[2 * CLUSTER_BYTES];
	uint8_t ours[CLUSTER_BYTES];
	size_t bytes = deflate_with(Z_DEFAULT_COMPRESSION, -12, Z_DEFAULT_STRATEGY, cluster,
				    CLUSTER_BYTES, packed, sizeof(packed));
	size_t ours_bytes = 0;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_codec_compress(codec, cluster, CLUSTER_BYTES, ours, &ours_bytes, &err),
			 0);
	assert_int_equal(ours_bytes, bytes);
	assert_memory_equal(ours, packed, bytes);
}

static void a_result_as_long_as_its_cluster_is_not_smaller(void **state)
{
	uint8_t random[CLUSTER_BYTES];
	uint8_t packed[2 * CLUSTER_BYTES];
	size_t bytes = 0;
	size_t ours_bytes = 1;
	struct qc_err err;

	(void)state;
	/* Looks for a cluster that compresses to its own length, among those that hardly compress. */
	for (unsigned int tries = 0; bytes != CLUSTER_BYTES; tries++) {
		assert_in_range(tries, 0, 10000);
		for (size_t i = 0; i < CLUSTER_BYTES; i++)
			random[i] = (uint8_t)next_random(256);
		memset(random, 0, 8 + tries % 64);
		bytes = deflate_with(Z_DEFAULT_COMPRESSION, -12, Z_DEFAULT_STRATEGY, random,
				     CLUSTER_BYTES, packed, sizeof(packed));
	}
	assert_int_equal(qc_codec_compress(codec, random, CLUSTER_BYTES, packed, &ours_bytes, &err),
			 0);
	assert_int_equal(ours_bytes, 0);
}

static void damage_that_a_compressor_cannot_cause_has_zlibs_verdict_too(void **state)
{
	uint8_t packed[2 * CLUSTER_BYTES];
	uint8_t damaged[2 * CLUSTER_BYTES];
	size_t bytes = deflate_with(6, -12, Z_DEFAULT_STRATEGY, cluster, CLUSTER_BYTES, packed,
				    sizeof(packed));
	unsigned int accepted = 0;

	(void)state;
	for (unsigned int i = 0; i < 5000; i++) {
		memcpy(damaged, packed, bytes);
		damaged[next_random((uint32_t)bytes)] ^= (uint8_t)(1u << next_random(8));
		accepted += compare_verdicts(damaged, bytes);
	}
	/* There is no checksum: some damage cannot be seen by anybody. */
	assert_in_range(accepted, 100, 4900);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_that_goes_on_past_a_full_cluster_is_good),
		cmocka_unit_test(every_cut_has_zlibs_verdict),
		cmocka_unit_test(streams_of_other_writers_are_read),
		cmocka_unit_test(a_zlib_header_is_not_accepted),
		cmocka_unit_test(our_bytes_are_those_of_a_12_bit_window_at_the_default_level),
		cmocka_unit_test(a_result_as_long_as_its_cluster_is_not_smaller),
		cmocka_unit_test(damage_that_a_compressor_cannot_cause_has_zlibs_verdict_too),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
