// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include <stdlib.h>

#include "image/places.h"
#include "image/read.h"

#define CLUSTER UINT64_C(65536)

struct scene {
	struct builder *b;
	struct fixture f;
	struct qc_view view;
	struct qc_places places;
	struct qc_place_reader *reader;
	struct qc_err err;
};

/* Unallocated, two of data, zero, two compressed, the rest unallocated: 16 clusters. */
static void open_scene(struct scene *s)
{
	*s = (struct scene){.b = builder_new(NULL)};
	builder_data(s->b, 1, filled(1));
	builder_data(s->b, 2, filled(2));
	builder_zero(s->b, 3);
	builder_compressed(s->b, 4, filled(4));
	builder_compressed_at(s->b, 5, filled(5), CLUSTER - 20);
	fixture_open(&s->f, s->b);
	qc_view_active(&s->f.layer, &s->view);
	s->places.view = &s->view;
	assert_int_equal(qc_place_reader_open(&s->reader, &s->err), 0);
}

static void close_scene(struct scene *s)
{
	qc_place_reader_close(s->reader);
	fixture_close(&s->f);
	builder_free(s->b);
}

static struct qc_place place_at(struct scene *s, uint64_t at)
{
	struct qc_place place;

	if (qc_places_at(&s->places, qc_guest(at), &place, &s->err) < 0)
		fail_msg("%s", s->err.text);
	assert_int_equal(place.guest.byte, at);
	return place;
}

static void what_is_read_through_places_is_what_the_guest_sees(void **state)
{
	uint8_t expected[16 * CLUSTER], found[16 * CLUSTER];
	struct qc_place place;
	struct scene s;

	(void)state;
	open_scene(&s);
	assert_int_equal(qc_read(&s.view, qc_guest(0), expected, sizeof(expected), &s.err), 0);
	/* Steps that are no divisor of a cluster: places are entered in their middle. */
	for (uint64_t at = 0, step; at < sizeof(found); at += step) {
		place = place_at(&s, at);
		step = place.extent.bytes < 10007 ? place.extent.bytes : 10007;
		if (at + step > sizeof(found))
			step = sizeof(found) - at;
		assert_int_equal(qc_place_read(s.reader, &place, qc_guest(at), found + at,
					       (size_t)step, &s.err),
				 0);
	}
	assert_memory_equal(found, expected, sizeof(found));
	close_scene(&s);
}

static void places_are_as_long_as_their_extents_and_can_be_gone_back_to(void **state)
{
	struct scene s;

	(void)state;
	open_scene(&s);
	assert_int_equal(place_at(&s, 12 * CLUSTER + 5).extent.bytes, 4 * CLUSTER - 5);
	assert_int_equal(place_at(&s, 12 * CLUSTER).extent.bytes, 4 * CLUSTER);
	assert_int_equal(place_at(&s, CLUSTER + 5).extent.bytes, CLUSTER - 5);
	assert_int_equal(place_at(&s, 4 * CLUSTER).extent.bytes, CLUSTER);
	assert_ptr_equal(place_at(&s, 4 * CLUSTER).packed, s.f.layer.image);
	assert_true(place_at(&s, 3 * CLUSTER).extent.zero);
	assert_true(place_at(&s, 3 * CLUSTER).extent.present);
	close_scene(&s);
}

static void past_the_end_is_one_place_of_zeroes_that_nobody_has(void **state)
{
	struct qc_place place;
	struct scene s;

	(void)state;
	open_scene(&s);
	place = place_at(&s, 16 * CLUSTER);
	assert_true(place.extent.zero);
	assert_false(place.extent.present);
	assert_true(place.extent.bytes > UINT64_C(1) << 60);
	assert_true(place_at(&s, 16 * CLUSTER + 7).extent.zero);
	close_scene(&s);
}

/* A disk as large as there are, all of it a hole: the looks double, so there are few of them. */
static void the_largest_disk_of_zeroes_takes_few_places(void **state)
{
	struct builder_options o = builder_defaults();
	unsigned int steps = 0;
	struct qc_place place;
	struct scene s = {0};

	(void)state;
	o.cluster_bits = 21;
	o.disk_bytes = UINT64_C(1) << 50;
	s.b = builder_new(&o);
	fixture_open(&s.f, s.b);
	qc_view_active(&s.f.layer, &s.view);
	s.places.view = &s.view;
	for (uint64_t at = 0; at < o.disk_bytes; at += place.extent.bytes, steps++)
		place = place_at(&s, at);
	assert_in_range(steps, 1, 40);
	close_scene(&s);
}

static void a_broken_compressed_cluster_fails_with_its_place(void **state)
{
	struct qc_place place;
	struct scene s;
	uint8_t *bytes;

	(void)state;
	open_scene(&s);
	place = place_at(&s, 4 * CLUSTER + 9);
	bytes = malloc((size_t)place.packed_bytes);
	memset(bytes, 0xff, (size_t)place.packed_bytes);
	assert_int_equal(qc_file_write(place.file, place.packed_host.byte, bytes,
				       (size_t)place.packed_bytes, &s.err),
			 0);
	assert_int_equal(qc_place_read(s.reader, &place, place.guest, bytes, 1, &s.err),
			 -QC_E_FORMAT);
	assert_non_null(strstr(s.err.text, "guest offset 0x40009"));
	free(bytes);
	close_scene(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_through_places_is_what_the_guest_sees),
		cmocka_unit_test(places_are_as_long_as_their_extents_and_can_be_gone_back_to),
		cmocka_unit_test(past_the_end_is_one_place_of_zeroes_that_nobody_has),
		cmocka_unit_test(the_largest_disk_of_zeroes_takes_few_places),
		cmocka_unit_test(a_broken_compressed_cluster_fails_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
