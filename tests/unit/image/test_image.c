// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include "format/limits.h"

struct seen {
	unsigned int count;
	enum qc_finding_id last;
};

static void remember(void *context, const struct qc_finding *finding)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = finding->id;
}

static void all_parts_are_loaded(void **state)
{
	struct builder_options o = builder_defaults();
	const struct qc_image *image;
	struct builder *b;
	struct fixture f;

	(void)state;
	o.backing_name = "base.img";
	o.backing_format = "raw";
	b = builder_new(&o);
	builder_data(b, 0, filled(1));
	builder_snapshot(b, "1", "2");
	builder_snapshot(b, "2", "first");
	builder_bitmap(b, "b0", 16, QC_BITMAP_AUTO);
	fixture_open(&f, b);
	image = f.layer.image;
	assert_string_equal(image->backing_name, "base.img");
	assert_string_equal(image->extensions.backing_format, "raw");
	assert_int_equal(image->l1[0], builder_peek64(b, builder_l1_entry_at(b, 0)));
	assert_int_equal(image->snapshots.count, 2);
	assert_int_equal(image->bitmaps.count, 1);
	/* An id wins over a name. */
	assert_string_equal(qc_image_find_snapshot(image, "2")->name, "first");
	assert_string_equal(qc_image_find_snapshot(image, "first")->id, "2");
	assert_null(qc_image_find_snapshot(image, "third"));
	fixture_close(&f);
	builder_free(b);
}

static void dirty_and_corrupt_images_can_be_looked_at(void **state)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	struct fixture f;

	(void)state;
	o.incompatible = QC_INCOMPAT_DIRTY | QC_INCOMPAT_CORRUPT;
	b = builder_new(&o);
	fixture_open(&f, b);
	fixture_close(&f);
	builder_free(b);
}

static void an_unknown_feature_is_refused(void **state)
{
	struct builder_options o = builder_defaults();
	struct builder *b;
	struct fixture f;

	(void)state;
	o.incompatible = UINT64_C(1) << 41;
	b = builder_new(&o);
	assert_int_equal(fixture_try(&f, b), -QC_E_UNSUPPORTED);
	assert_non_null(strstr(f.err.text, "41"));
	fixture_close(&f);
	builder_free(b);
}

/* Fields that make an image refused, and empty for those who look at it leniently. */
static void corruption_refuses_strictly_and_is_reported_leniently(void **state)
{
	static const struct {
		uint64_t at;
		uint64_t value;
		enum qc_finding_id id;
	} cases[] = {
		{builder_header_field(l1_table_offset), 0x30001, QC_FINDING_HEADER_L1_PLACE},
		{builder_header_field(l1_table_offset), INT64_MAX - 0xffff,
		 QC_FINDING_HEADER_L1_PLACE},
		{builder_header_field(refcount_table_offset), 0x201,
		 QC_FINDING_HEADER_REFCOUNT_TABLE_PLACE},
		{builder_header_field(size), UINT64_C(1) << 40, QC_FINDING_HEADER_L1_SIZE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = {0};
		const struct qc_finding_sink sink = {remember, &seen};
		struct builder *b = builder_new(NULL);
		struct qc_image *image = NULL;
		uint8_t *bytes;
		size_t length;
		struct fixture f;

		builder_data(b, 0, filled(1));
		builder_finish(b, &bytes, &length);
		builder_poke64(b, cases[i].at, cases[i].value);
		assert_int_equal(fixture_reopen(&f, bytes, length), -QC_E_FORMAT);
		assert_int_equal(qc_image_open(f.layer.file, &sink, &image, &f.err), 0);
		assert_true(seen.count > 0);
		assert_int_equal(seen.last, cases[i].id);
		qc_image_close(image);
		fixture_close(&f);
		builder_free(b);
	}
}

static void hostile_counts_cost_nothing(void **state)
{
	struct seen seen = {0};
	const struct qc_finding_sink sink = {remember, &seen};
	struct builder *b = builder_new(NULL);
	struct qc_image *image = NULL;
	uint8_t *bytes;
	size_t length;
	struct fixture f;

	(void)state;
	builder_finish(b, &bytes, &length);
	builder_poke32(b, builder_header_field(l1_size), UINT32_MAX);
	builder_poke32(b, builder_header_field(nb_snapshots), UINT32_MAX);
	builder_poke64(b, builder_header_field(snapshots_offset), 0x10000);
	assert_int_equal(fixture_reopen(&f, bytes, length), -QC_E_FORMAT);
	assert_int_equal(qc_image_open(f.layer.file, &sink, &image, &f.err), 0);
	assert_null(image->l1);
	assert_int_equal(image->snapshots.count, 0);
	qc_image_close(image);
	fixture_close(&f);
	builder_free(b);
}

static void a_long_snapshot_table_is_read_to_its_end(void **state)
{
	struct builder *b = builder_new(NULL);
	char id[8], name[64];
	struct fixture f;

	(void)state;
	for (int i = 1; i <= 300; i++) {
		snprintf(id, sizeof(id), "%d", i);
		snprintf(name, sizeof(name), "a name of some length, number %d", i);
		builder_snapshot(b, id, name);
	}
	fixture_open(&f, b);
	assert_int_equal(f.layer.image->snapshots.count, 300);
	assert_non_null(qc_image_find_snapshot(f.layer.image, "a name of some length, number 300"));
	fixture_close(&f);
	builder_free(b);
}

static void no_prefix_of_an_image_does_harm(void **state)
{
	struct builder *b = builder_new(NULL);
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_data(b, 0, filled(1));
	builder_snapshot(b, "1", "s");
	builder_finish(b, &bytes, &length);
	for (size_t cut = 0; cut < 700; cut++) {
		struct fixture f;

		if (fixture_reopen(&f, bytes, cut) < 0)
			assert_true(f.err.text[0] != '\0');
		fixture_close(&f);
	}
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_parts_are_loaded),
		cmocka_unit_test(dirty_and_corrupt_images_can_be_looked_at),
		cmocka_unit_test(an_unknown_feature_is_refused),
		cmocka_unit_test(corruption_refuses_strictly_and_is_reported_leniently),
		cmocka_unit_test(hostile_counts_cost_nothing),
		cmocka_unit_test(a_long_snapshot_table_is_read_to_its_end),
		cmocka_unit_test(no_prefix_of_an_image_does_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
