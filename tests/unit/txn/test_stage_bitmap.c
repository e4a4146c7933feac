// SPDX-License-Identifier: MIT
/* Dirty bitmaps: what a transaction changes is marked in those that are enabled, and in no other. */
#include "unit/txn/fixture.h"

#include <errno.h>

#define ENABLED QC_BITMAP_AUTO
#define IN_USE QC_BITMAP_IN_USE

struct kind {
	const char *label;
	uint32_t cluster_bits;
	uint8_t granularity_bits;
	uint64_t disk_bytes;
};

static const struct kind kinds[] = {
	{"512-byte clusters, finest bits", 9, 9, 8 << 20},
	{"512-byte clusters, coarse bits", 9, 16, 8 << 20},
	{"4 KiB clusters", 12, 12, 64 << 20},
	{"64 KiB clusters", 16, 16, 64 << 20},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static struct builder *build(const struct kind *k)
{
	struct builder_options o = builder_defaults();

	o.cluster_bits = k->cluster_bits;
	o.disk_bytes = k->disk_bytes;
	return builder_new(&o);
}

/* --- looking at bits --- */

static const struct qc_bitmap *find(const struct qc_image *image, const char *name)
{
	for (size_t i = 0; i < image->bitmaps.count; i++)
		if (strcmp(image->bitmaps.list[i].name, name) == 0)
			return &image->bitmaps.list[i];
	fail_msg("no bitmap '%s'", name);
	return NULL;
}

static uint64_t word_of(const struct qc_image *image, const struct qc_bitmap *bitmap,
			uint64_t entry)
{
	return qc_load_be64(qc_file_mem_bytes(image->file) + bitmap->table.byte + entry * 8);
}

static bool is_marked(const struct qc_image *image, const struct qc_bitmap *bitmap, uint64_t bit)
{
	uint64_t per_cluster = image->geometry.cluster_bytes * 8;
	uint64_t word = word_of(image, bitmap, bit / per_cluster);

	bit %= per_cluster;
	return word == 1
	       || (word != 0
		   && (qc_file_mem_bytes(image->file)[word + bit / 8] >> bit % 8 & 1) != 0);
}

/* The part of the disk that must be marked; the builder's own mark is the first bit. */
struct range {
	uint64_t at, length;
};

static bool must_be_marked(const struct range *ranges, size_t count, uint64_t bit, uint8_t shift)
{
	for (size_t i = 0; i < count; i++)
		if (bit >= ranges[i].at >> shift
		    && bit <= (ranges[i].at + ranges[i].length - 1) >> shift)
			return true;
	return bit == 0;
}

static void assert_marks(struct qc_file *mem, const char *name, const struct range *ranges,
			 size_t count)
{
	const struct qc_bitmap *bitmap;
	struct qc_image *image;
	struct qc_err err;
	uint64_t bits;

	if (qc_image_open(mem, NULL, &image, &err) < 0)
		fail_msg("%s", err.text);
	bitmap = find(image, name);
	bits = qc_div_up(image->header.disk_bytes, UINT64_C(1) << bitmap->granularity_bits);
	for (uint64_t bit = 0; bit < bits; bit++)
		if (is_marked(image, bitmap, bit)
		    != must_be_marked(ranges, count, bit, bitmap->granularity_bits))
			fail_msg("bit %llu of '%s' is wrong", (unsigned long long)bit, name);
	qc_image_close(image);
}

/* --- marking --- */

static void what_changes_is_marked_in_every_enabled_bitmap(void **state)
{
	static const struct range first[] = {{5000, 3}, {1 << 20, 70000}, {3 << 20, 1 << 20}};
	static const struct range both[] = {
		{5000, 3}, {1 << 20, 70000}, {3 << 20, 1 << 20}, {(4 << 20) - 1, 2}, {6 << 20, 1}};

	(void)state;
	for (size_t i = 0; i < KIND_COUNT; i++) {
		struct builder *b = build(&kinds[i]);
		struct rig r;

		builder_bitmap(b, "one", kinds[i].granularity_bits, ENABLED);
		builder_bitmap(b, "two", 20, ENABLED);
		builder_bitmap(b, "off", kinds[i].granularity_bits, 0);
		rig_begin_well(&r, b, false);
		rig_write(&r, 5000, "abc", 3);
		rig_write(&r, 1 << 20, filled(1), 70000);
		rig_must(&r, qc_txn_zero(r.txn, qc_guest(3 << 20), 1 << 20, &r.err));
		rig_commit(&r);
		assert_sound(r.mem);
		assert_marks(r.mem, "one", first, 3);
		assert_marks(r.mem, "two", first, 3);
		assert_marks(r.mem, "off", NULL, 0);
		rig_again(&r, false);
		rig_write(&r, (4 << 20) - 1, "de", 2);
		rig_must(&r, qc_txn_discard(r.txn, qc_guest(6 << 20), 1, &r.err));
		rig_commit(&r);
		assert_sound(r.mem);
		assert_marks(r.mem, "one", both, 5);
		assert_marks(r.mem, "two", both, 5);
		assert_marks(r.mem, "off", NULL, 0);
		rig_close(&r);
		builder_free(b);
	}
}

static void what_is_marked_already_is_not_written_again(void **state)
{
	struct builder *b = build(&kinds[3]);
	struct qc_host table;
	struct rig r;

	(void)state;
	builder_bitmap(b, "one", 16, ENABLED);
	rig_begin_well(&r, b, false);
	table = find(r.image, "one")->table;
	rig_write(&r, 100, "x", 1);
	rig_commit(&r);
	rig_again(&r, false);
	assert_int_equal(find(r.image, "one")->table.byte, table.byte);
	rig_end(&r, -1);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

static void bitmaps_in_use_are_left_alone(void **state)
{
	struct builder *b = build(&kinds[2]);
	struct rig r;

	(void)state;
	builder_bitmap(b, "lost", 12, ENABLED | IN_USE);
	builder_bitmap(b, "one", 12, ENABLED);
	rig_begin_well(&r, b, false);
	rig_write(&r, 1 << 20, "x", 1);
	rig_commit(&r);
	assert_marks(r.mem, "lost", NULL, 0);
	assert_marks(r.mem, "one", &(struct range){1 << 20, 1}, 1);
	rig_close(&r);
	builder_free(b);
}

static void data_that_is_all_ones_takes_no_cluster(void **state)
{
	const struct range marked = {0, 4 << 20};
	struct builder *b = build(&kinds[0]);
	const struct qc_bitmap *bitmap;
	struct rig r;

	(void)state;
	builder_bitmap(b, "one", 9, ENABLED);
	rig_begin_well(&r, b, false);
	rig_must(&r, qc_txn_discard(r.txn, qc_guest(0), 4 << 20, &r.err));
	rig_commit(&r);
	assert_sound(r.mem);
	assert_marks(r.mem, "one", &marked, 1);
	assert_int_equal(qc_image_open(r.mem, NULL, &r.image, &r.err), 0);
	bitmap = find(r.image, "one");
	assert_int_equal(word_of(r.image, bitmap, 0), 1);
	assert_int_equal(word_of(r.image, bitmap, 1), 1);
	assert_int_equal(word_of(r.image, bitmap, 2), 0);
	qc_image_close(r.image);
	rig_again(&r, false);
	rig_write(&r, 1000, "x", 1);
	rig_commit(&r);
	assert_marks(r.mem, "one", &marked, 1);
	assert_sound(r.mem);
	rig_close(&r);
	builder_free(b);
}

static void marks_that_memory_does_not_hold_are_spilled(void **state)
{
	static const struct kind huge = {"", 21, 9, UINT64_C(80) << 30};
	const uint64_t covered = UINT64_C(8) << 30; /* by one cluster of bits */
	struct builder *b = build(&huge);
	const struct qc_bitmap *bitmap;
	struct rig r;

	(void)state;
	builder_bitmap(b, "one", 9, ENABLED);
	rig_begin_well(&r, b, false);
	for (unsigned int round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 8; i++)
			rig_must(&r, qc_txn_zero(r.txn, qc_guest(i * covered + 512 + round * 512),
						 1, &r.err));
	rig_commit(&r);
	assert_sound(r.mem);
	assert_int_equal(qc_image_open(r.mem, NULL, &r.image, &r.err), 0);
	bitmap = find(r.image, "one");
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(is_marked(r.image, bitmap, i * covered / 512), i == 0);
		assert_true(is_marked(r.image, bitmap, i * covered / 512 + 1));
		assert_true(is_marked(r.image, bitmap, i * covered / 512 + 2));
		assert_false(is_marked(r.image, bitmap, i * covered / 512 + 3));
	}
	qc_image_close(r.image);
	rig_close(&r);
	builder_free(b);
}

/* --- growing --- */

static void a_longer_disk_has_longer_bitmaps(void **state)
{
	const uint64_t longer = UINT64_C(40) << 20;

	(void)state;
	for (unsigned int first = 0; first < 2; first++) {
		const struct range marked[] = {{longer - 1, 1}, {7 << 20, first}};
		struct builder *b = build(&kinds[0]);
		struct rig r;

		builder_bitmap(b, "one", 9, ENABLED);
		builder_bitmap(b, "off", 9, 0);
		rig_begin_well(&r, b, false);
		if (first)
			rig_write(&r, 7 << 20, "x", 1);
		rig_must(&r, qc_txn_grow(r.txn, longer, &r.err));
		rig_write(&r, longer - 1, "x", 1);
		rig_commit(&r);
		assert_sound(r.mem);
		assert_marks(r.mem, "one", marked, 1 + first);
		assert_marks(r.mem, "off", NULL, 0);
		rig_close(&r);
		builder_free(b);
	}
}

static void a_bitmap_in_use_cannot_grow(void **state)
{
	struct builder *b = build(&kinds[0]);
	struct rig r;

	(void)state;
	builder_bitmap(b, "lost", 9, IN_USE);
	rig_begin_well(&r, b, false);
	assert_int_equal(qc_txn_grow(r.txn, UINT64_C(40) << 20, &r.err), -QC_E_UNSUPPORTED);
	assert_string_equal(r.err.text,
			    "dirty bitmap 'lost': it was not saved correctly and cannot "
			    "change its size");
	rig_end(&r, -1);
	rig_close(&r);
	builder_free(b);
}

/* --- nothing by halves --- */

static void an_edit_that_is_dropped_marks_nothing(void **state)
{
	struct builder *b = build(&kinds[0]);
	uint8_t *bytes;
	size_t length;
	struct rig r;

	(void)state;
	builder_bitmap(b, "one", 9, ENABLED);
	builder_finish(b, &bytes, &length);
	rig_open(&r, bytes, length, NULL);
	rig_again(&r, false);
	rig_write(&r, 3 << 20, filled(7), 100000);
	rig_end(&r, -1);
	assert_true(same_file(r.mem, bytes, length));
	rig_close(&r);
	builder_free(b);
}

static void no_fault_leaves_marks_and_contents_apart(void **state)
{
	struct builder *b = build(&kinds[0]);
	struct fault_plan plan = {.calls = FAULT_ALL, .os_errno = EIO};
	bool ended = false;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_bitmap(b, "one", 9, ENABLED);
	builder_finish(b, &bytes, &length);
	for (plan.at = 0; !ended && plan.at < 1000; plan.at++) {
		const struct range marked = {3 << 20, 1000};
		struct rig r;
		int status;

		rig_open(&r, bytes, length, &plan);
		status = rig_begin(&r, NULL, false);
		if (status == 0)
			status = rig_end(&r, qc_txn_write(r.txn, qc_guest(3 << 20), filled(7), 1000,
							  &r.err));
		else
			qc_image_close(r.image);
		if (status == 0 || status == -QC_E_OUTCOME_UNKNOWN) {
			assert_guest(r.mem, 3 << 20, filled(7), 1000);
			assert_marks(r.mem, "one", &marked, 1);
		} else {
			assert_guest(r.mem, 3 << 20, filled(0), 1000);
			assert_marks(r.mem, "one", NULL, 0);
		}
		ended = status == 0 && !fault_happened(r.fault);
		rig_close(&r);
	}
	assert_true(ended);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_is_marked_in_every_enabled_bitmap),
		cmocka_unit_test(what_is_marked_already_is_not_written_again),
		cmocka_unit_test(bitmaps_in_use_are_left_alone),
		cmocka_unit_test(data_that_is_all_ones_takes_no_cluster),
		cmocka_unit_test(marks_that_memory_does_not_hold_are_spilled),
		cmocka_unit_test(a_longer_disk_has_longer_bitmaps),
		cmocka_unit_test(a_bitmap_in_use_cannot_grow),
		cmocka_unit_test(an_edit_that_is_dropped_marks_nothing),
		cmocka_unit_test(no_fault_leaves_marks_and_contents_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
