// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "codec/codec.h"

#define CLUSTER_BYTES 4096u

static struct qc_codec *codec;
static uint8_t cluster[2 * CLUSTER_BYTES];

static int set_up(void **state)
{
	struct qc_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cluster); i++)
		cluster[i] = (uint8_t)(i * i / 700);
	return qc_codec_open(QC_COMPRESSION_ZSTD, &codec, &err);
}

static int tear_down(void **state)
{
	(void)state;
	qc_codec_close(codec);
	return 0;
}

/* Appends a frame of cluster[first .. first + bytes) to `to`; returns the new length. */
static size_t add_frame(uint8_t *to, size_t used, size_t first, size_t bytes, int checksum)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t length;

	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
	length = ZSTD_compress2(context, to + used, 3 * CLUSTER_BYTES - used, cluster + first,
				bytes);
	assert_false(ZSTD_isError(length));
	ZSTD_freeCCtx(context);
	return used + length;
}

static int decompress(const uint8_t *from, size_t from_bytes, size_t cluster_bytes)
{
	uint8_t *exact = malloc(from_bytes);
	uint8_t *back = malloc(cluster_bytes);
	struct qc_err err;
	int r;

	memcpy(exact, from, from_bytes);
	r = qc_codec_decompress(codec, exact, from_bytes, back, cluster_bytes, &err);
	if (r == 0)
		assert_memory_equal(back, cluster, cluster_bytes);
	free(exact);
	free(back);
	return r;
}

static void several_frames_make_one_cluster(void **state)
{
	uint8_t packed[3 * CLUSTER_BYTES];
	size_t used = 0;

	(void)state;
	for (size_t first = 0; first < CLUSTER_BYTES; first += 1024)
		used = add_frame(packed, used, first, 1024, 0);
	assert_int_equal(decompress(packed, used, CLUSTER_BYTES), 0);
	/* Cut anywhere, it is not one. */
	for (size_t cut = 0; cut < used; cut += 7)
		assert_int_equal(decompress(packed, cut, CLUSTER_BYTES), -QC_E_FORMAT);
}

static void empty_and_skippable_frames_are_passed_over(void **state)
{
	static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
	uint8_t packed[3 * CLUSTER_BYTES];
	size_t used = add_frame(packed, 0, 0, 0, 0);

	(void)state;
	memcpy(packed + used, skippable, sizeof(skippable));
	used = add_frame(packed, used + sizeof(skippable), 0, CLUSTER_BYTES, 0);
	assert_int_equal(decompress(packed, used, CLUSTER_BYTES), 0);
}

static void a_frame_that_goes_on_past_the_cluster_is_an_error(void **state)
{
	uint8_t packed[3 * CLUSTER_BYTES];
	size_t used = add_frame(packed, 0, 0, CLUSTER_BYTES + 1, 0);

	(void)state;
	assert_int_equal(decompress(packed, used, CLUSTER_BYTES), -QC_E_FORMAT);
	/* A second frame after a full cluster is not looked at. */
	used = add_frame(packed, 0, 0, CLUSTER_BYTES, 0);
	used = add_frame(packed, used, CLUSTER_BYTES, 100, 0);
	assert_int_equal(decompress(packed, used, CLUSTER_BYTES), 0);
}

static void checksums_are_verified(void **state)
{
	uint8_t packed[3 * CLUSTER_BYTES];
	size_t used = add_frame(packed, 0, 0, CLUSTER_BYTES, 1);

	(void)state;
	assert_int_equal(decompress(packed, used, CLUSTER_BYTES), 0);
	assert_int_equal(decompress(packed, used - 1, CLUSTER_BYTES), -QC_E_FORMAT);
	packed[used - 1] ^= 1;
	assert_int_equal(decompress(packed, used, CLUSTER_BYTES), -QC_E_FORMAT);
}

/* A frame that declares a window, and no length: magic, descriptor, window, one block of a run. */
static int decompress_with_window(unsigned int log)
{
	const uint32_t block = 1 | 1 << 1 | CLUSTER_BYTES << 3; /* the last one, a repeated byte */
	const uint8_t frame[] = {
		0x28,
		0xb5,
		0x2f,
		0xfd,
		0,
		(uint8_t)((log - 10) << 3),
		block & 0xff,
		block >> 8 & 0xff,
		block >> 16,
		'w',
	};
	uint8_t back[CLUSTER_BYTES];
	struct qc_err err;
	int r = qc_codec_decompress(codec, frame, sizeof(frame), back, sizeof(back), &err);

	if (r == 0)
		assert_int_equal(back[CLUSTER_BYTES - 1], 'w');
	return r;
}

static void windows_up_to_8_mib_are_read_and_larger_ones_refused(void **state)
{
	(void)state;
	for (unsigned int log = 12; log <= 23; log++)
		assert_int_equal(decompress_with_window(log), 0);
	for (unsigned int log = 24; log <= 41; log++)
		assert_int_equal(decompress_with_window(log), -QC_E_FORMAT);
	/* The context is as good as new after a refusal. */
	assert_int_equal(decompress_with_window(20), 0);
}

static void our_bytes_are_those_of_the_default_level(void **state)
{
	uint8_t packed[3 * CLUSTER_BYTES];
	uint8_t ours[CLUSTER_BYTES];
	size_t used = add_frame(packed, 0, 0, CLUSTER_BYTES, 0);
	size_t ours_bytes = 0;
	struct qc_err err;

	(void)state;
	assert_int_equal(qc_codec_compress(codec, cluster, CLUSTER_BYTES, ours, &ours_bytes, &err),
			 0);
	assert_int_equal(ours_bytes, used);
	assert_memory_equal(ours, packed, used);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_frames_make_one_cluster),
		cmocka_unit_test(empty_and_skippable_frames_are_passed_over),
		cmocka_unit_test(a_frame_that_goes_on_past_the_cluster_is_an_error),
		cmocka_unit_test(checksums_are_verified),
		cmocka_unit_test(windows_up_to_8_mib_are_read_and_larger_ones_refused),
		cmocka_unit_test(our_bytes_are_those_of_the_default_level),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
