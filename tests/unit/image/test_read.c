// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include "image/read.h"

#define CLUSTER UINT64_C(65536)

static uint8_t byte_at(const struct fixture *f, uint64_t at)
{
	struct qc_err err;
	uint8_t byte = 0xee;

	if (qc_read_layer(&f->layer, qc_guest(at), &byte, 1, &err) < 0)
		fail_msg("%s", err.text);
	return byte;
}

static void every_kind_of_cluster_reads_as_what_it_is(void **state)
{
	struct builder *b = builder_new(NULL);
	uint8_t buffer[3];
	struct fixture f;

	(void)state;
	builder_data(b, 1, filled(1));
	builder_zero_alloc(b, 2);
	builder_compressed(b, 3, filled(3));
	builder_compressed_at(b, 4, filled(4), CLUSTER - 100);
	fixture_open(&f, b);
	assert_int_equal(byte_at(&f, 0), 0);
	assert_int_equal(byte_at(&f, CLUSTER), 1);
	assert_int_equal(byte_at(&f, 2 * CLUSTER), 0);
	assert_int_equal(byte_at(&f, 4 * CLUSTER - 1), 3);
	assert_int_equal(byte_at(&f, 4 * CLUSTER), 4);
	assert_int_equal(byte_at(&f, 3 * CLUSTER), 3);
	assert_int_equal(qc_read_layer(&f.layer, qc_guest(4 * CLUSTER - 2), buffer, sizeof(buffer),
				       &f.err),
			 0);
	assert_memory_equal(buffer, "\3\3\4", 3);
	fixture_close(&f);
	builder_free(b);
}

static void past_the_end_of_the_disk_is_zero(void **state)
{
	struct builder_options o = builder_defaults();
	uint8_t buffer[200];
	struct builder *b;
	struct fixture f;

	(void)state;
	o.disk_bytes = CLUSTER + 100;
	b = builder_new(&o);
	builder_data(b, 1, filled(7));
	fixture_open(&f, b);
	memset(buffer, 0xee, sizeof(buffer));
	assert_int_equal(qc_read_layer(&f.layer, qc_guest(CLUSTER), buffer, sizeof(buffer), &f.err),
			 0);
	assert_int_equal(buffer[99], 7);
	assert_int_equal(buffer[100], 0);
	assert_int_equal(buffer[199], 0);
	fixture_close(&f);
	builder_free(b);
}

static void a_short_backing_file_goes_on_with_zeroes_and_a_long_one_is_cut(void **state)
{
	struct builder_options small = builder_defaults(), large = builder_defaults();
	struct builder *short_b, *long_b;
	struct fixture overlay, base;
	uint8_t buffer[4];

	(void)state;
	small.disk_bytes = CLUSTER + 2;
	large.disk_bytes = 3 * CLUSTER;
	short_b = builder_new(&small);
	long_b = builder_new(&large);
	builder_data(short_b, 1, filled(5));
	builder_data(long_b, 1, filled(6));
	fixture_open(&base, short_b);
	fixture_open(&overlay, long_b);

	builder_free(long_b);
	long_b = builder_new(&large);
	fixture_close(&overlay);
	fixture_open(&overlay, long_b);
	overlay.layer.backing = &base.layer;
	assert_int_equal(qc_read_layer(&overlay.layer, qc_guest(CLUSTER), buffer, sizeof(buffer),
				       &base.err),
			 0);
	assert_memory_equal(buffer, "\5\5\0\0", 4);

	overlay.layer.backing = NULL;
	base.layer.backing = &overlay.layer;
	memset(buffer, 0xee, sizeof(buffer));
	assert_int_equal(qc_read_layer(&base.layer, qc_guest(CLUSTER + 1), buffer, sizeof(buffer),
				       &base.err),
			 0);
	assert_memory_equal(buffer, "\5\0\0\0", 4);
	fixture_close(&overlay);
	fixture_close(&base);
	builder_free(short_b);
	builder_free(long_b);
}

static void subclusters_mix_layers(void **state)
{
	struct builder_options o = builder_defaults();
	struct builder *b, *below;
	struct fixture f, base;

	(void)state;
	below = builder_new(NULL);
	builder_data(below, 0, filled(9));
	fixture_open(&base, below);
	o.extended_l2 = true;
	b = builder_new(&o);
	builder_subclusters(b, 0, filled(1), 0x1, 0x4);
	fixture_open(&f, b);
	f.layer.backing = &base.layer;
	assert_int_equal(byte_at(&f, 2047), 1);
	assert_int_equal(byte_at(&f, 2048), 9);
	assert_int_equal(byte_at(&f, 4096), 0);
	assert_int_equal(byte_at(&f, 6144), 9);
	fixture_close(&f);
	fixture_close(&base);
	builder_free(b);
	builder_free(below);
}

static void what_the_file_does_not_have_is_zero(void **state)
{
	struct builder *b = builder_new(NULL);
	uint8_t *bytes;
	size_t length;
	struct fixture f;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_finish(b, &bytes, &length);
	builder_poke64(b, builder_l2_entry_at(b, 0), QC_L2_COPIED | UINT64_C(0x7f0000000000));
	assert_int_equal(fixture_reopen(&f, bytes, length), 0);
	f.layer.disk_bytes = f.layer.image->header.disk_bytes;
	assert_int_equal(byte_at(&f, 10), 0);
	fixture_close(&f);
	builder_free(b);
}

static void the_longest_descriptor_and_a_broken_stream_are_survived(void **state)
{
	struct builder *b = builder_new(NULL);
	uint64_t entry;
	uint8_t *bytes, byte;
	size_t length;
	struct fixture f;

	(void)state;
	builder_compressed(b, 0, filled(1));
	builder_zero(b, 1);
	builder_finish(b, &bytes, &length);
	entry = builder_peek64(b, builder_l2_entry_at(b, 0));
	/* All sector bits set: far more bytes than the stream has, and than a cluster has. */
	builder_poke64(b, builder_l2_entry_at(b, 0), entry | UINT64_C(0xff) << 54);
	/* Into the header, which is no stream. */
	builder_poke64(b, builder_l2_entry_at(b, 1), QC_L2_COMPRESSED | 7);
	assert_int_equal(fixture_reopen(&f, bytes, length), 0);
	f.layer.disk_bytes = f.layer.image->header.disk_bytes;
	assert_int_equal(byte_at(&f, 100), 1);
	assert_int_equal(qc_read_layer(&f.layer, qc_guest(CLUSTER), &byte, 1, &f.err),
			 -QC_E_FORMAT);
	assert_non_null(strstr(f.err.text, "guest offset 0x10000"));
	assert_int_equal(byte_at(&f, 100), 1);
	fixture_close(&f);
	builder_free(b);
}

static void an_entry_that_no_table_holds_can_be_read(void **state)
{
	struct builder *b = builder_new(NULL);
	struct qc_l2_entry entry = {.allocated = 1};
	uint8_t buffer[2];
	struct fixture f;

	(void)state;
	builder_data(b, 0, filled(1));
	fixture_open(&f, b);
	entry.host = qc_host(builder_host_of(b, 0));
	assert_int_equal(qc_read_entry(f.layer.image, NULL, &entry, qc_guest(5 * CLUSTER + 3),
				       buffer, sizeof(buffer), &f.err),
			 0);
	assert_memory_equal(buffer, "\1\1", 2);
	entry = (struct qc_l2_entry){0};
	assert_int_equal(qc_read_entry(f.layer.image, &f.layer, &entry, qc_guest(3), buffer,
				       sizeof(buffer), &f.err),
			 0);
	assert_memory_equal(buffer, "\1\1", 2);
	fixture_close(&f);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_cluster_reads_as_what_it_is),
		cmocka_unit_test(past_the_end_of_the_disk_is_zero),
		cmocka_unit_test(a_short_backing_file_goes_on_with_zeroes_and_a_long_one_is_cut),
		cmocka_unit_test(subclusters_mix_layers),
		cmocka_unit_test(what_the_file_does_not_have_is_zero),
		cmocka_unit_test(the_longest_descriptor_and_a_broken_stream_are_survived),
		cmocka_unit_test(an_entry_that_no_table_holds_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
