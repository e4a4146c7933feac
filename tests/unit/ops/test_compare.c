// SPDX-License-Identifier: MIT
#include "unit/image/fixture.h"

#include <errno.h>

#include "ops/compare.h"
#include "support/fault_file.h"

#define CLUSTER UINT64_C(65536)
#define DISK (UINT64_C(64) << 20)

/* Two images that may be changed before they are compared. */
struct scene {
	struct builder *b[2];
	struct fixture f[2];
	struct qc_view view[2];
	struct qc_compare compare;
	struct qc_compare_report report;
	struct qc_err err;
};

static void start(struct scene *s)
{
	struct builder_options o = builder_defaults();

	*s = (struct scene){0};
	o.disk_bytes = DISK;
	for (int i = 0; i < 2; i++) {
		s->b[i] = builder_new(&o);
		for (uint64_t at = 0; at < DISK; at += DISK / 32)
			builder_data(s->b[i], at / CLUSTER, filled((uint8_t)(at >> 20)));
	}
}

static void open_both(struct scene *s)
{
	for (int i = 0; i < 2; i++) {
		fixture_open(&s->f[i], s->b[i]);
		qc_view_active(&s->f[i].layer, &s->view[i]);
		s->compare.view[i] = &s->view[i];
	}
}

static void end(struct scene *s)
{
	for (int i = 0; i < 2; i++) {
		fixture_close(&s->f[i]);
		builder_free(s->b[i]);
	}
}

static int compare_with(struct scene *s, unsigned int threads)
{
	s->compare.threads = threads;
	return qc_compare_views(&s->compare, &s->report, &s->err);
}

static void the_lowest_difference_is_found_by_any_number_of_threads(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	for (uint64_t at = DISK / 2; at < DISK; at += DISK / 32)
		builder_data(s.b[1], at / CLUSTER, filled(0xee));
	open_both(&s);
	for (unsigned int threads = 1; threads < 9; threads++) {
		assert_int_equal(compare_with(&s, threads), 0);
		assert_int_equal(s.report.difference, QC_DIFFERENCE_CONTENT);
		assert_int_equal(s.report.at, DISK / 2);
	}
	end(&s);
}

static void equal_contents_in_other_places_are_the_same(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	builder_compressed(s.b[1], 0, filled(0));
	builder_zero(s.b[1], 3);
	builder_data(s.b[0], 5, filled(0));
	open_both(&s);
	for (unsigned int threads = 1; threads < 4; threads++) {
		assert_int_equal(compare_with(&s, threads), 0);
		assert_int_equal(s.report.difference, QC_DIFFERENCE_NONE);
	}
	end(&s);
}

static void a_difference_is_told_by_its_sector(void **state)
{
	uint8_t cluster[65536] = {0};
	struct scene s;

	(void)state;
	cluster[12345] = 1;
	start(&s);
	builder_data(s.b[0], 7, cluster);
	open_both(&s);
	assert_int_equal(compare_with(&s, 2), 0);
	assert_int_equal(s.report.at, 7 * CLUSTER + 12288);
	end(&s);
}

/* The L2 entry of that guest offset makes no sense from now on. */
static void break_entry(struct scene *s, int side, uint64_t guest)
{
	uint64_t at = builder_l2_entry_at(s->b[side], guest / CLUSTER);

	assert_int_equal(qc_file_write(s->f[side].layer.file, at, "\1\0\0\0", 4, &s->err), 0);
}

static void a_failure_in_front_of_a_difference_wins_and_one_behind_it_does_not_count(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	builder_data(s.b[1], DISK / 2 / CLUSTER, filled(0xee));
	open_both(&s);
	break_entry(&s, 1, DISK / 4);
	for (unsigned int threads = 1; threads < 9; threads++) {
		assert_int_equal(compare_with(&s, threads), -QC_E_FORMAT);
		assert_int_equal(s.report.side, 1);
		assert_false(s.report.reading);
		assert_int_equal(s.report.at, DISK / 4);
	}
	end(&s);
	start(&s);
	builder_data(s.b[1], DISK / 4 / CLUSTER, filled(0xee));
	open_both(&s);
	break_entry(&s, 0, DISK / 2);
	for (unsigned int threads = 1; threads < 9; threads++) {
		assert_int_equal(compare_with(&s, threads), 0);
		assert_int_equal(s.report.at, DISK / 4);
	}
	end(&s);
}

static void a_read_that_fails_names_its_side(void **state)
{
	const struct fault_plan plan = {.calls = FAULT_READ, .sticky = true, .os_errno = EIO};
	struct qc_file *fault;
	struct scene s;

	(void)state;
	start(&s);
	builder_data(s.b[1], 1, filled(9));
	open_both(&s);
	/* The tables are in memory by now; the data are not. */
	assert_int_equal(compare_with(&s, 1), 0);
	fault = fault_file_open(s.f[1].layer.file, &plan);
	s.f[1].layer.image->data = fault;
	assert_int_equal(compare_with(&s, 3), -QC_E_IO);
	assert_int_equal(s.report.side, 1);
	assert_true(s.report.reading);
	s.f[1].layer.image->data = s.f[1].layer.file;
	qc_file_close(fault);
	end(&s);
}

static void strict_looks_at_what_is_where(void **state)
{
	struct scene s;

	(void)state;
	start(&s);
	builder_zero(s.b[1], 9);
	open_both(&s);
	assert_int_equal(compare_with(&s, 2), 0);
	assert_int_equal(s.report.difference, QC_DIFFERENCE_NONE);
	s.compare.strict = true;
	assert_int_equal(compare_with(&s, 2), 0);
	assert_int_equal(s.report.difference, QC_DIFFERENCE_STATUS);
	assert_int_equal(s.report.at, 9 * CLUSTER);
	s.view[1].disk_bytes -= 512;
	assert_int_equal(compare_with(&s, 2), 0);
	assert_int_equal(s.report.difference, QC_DIFFERENCE_SIZE);
	end(&s);
}

static void it_stops_when_told_to(void **state)
{
	volatile sig_atomic_t stop = 1;
	struct scene s;

	(void)state;
	start(&s);
	open_both(&s);
	s.compare.stop = &stop;
	assert_int_equal(compare_with(&s, 2), -QC_E_INTERRUPTED);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_difference_is_found_by_any_number_of_threads),
		cmocka_unit_test(equal_contents_in_other_places_are_the_same),
		cmocka_unit_test(a_difference_is_told_by_its_sector),
		cmocka_unit_test(
			a_failure_in_front_of_a_difference_wins_and_one_behind_it_does_not_count),
		cmocka_unit_test(a_read_that_fails_names_its_side),
		cmocka_unit_test(strict_looks_at_what_is_where),
		cmocka_unit_test(it_stops_when_told_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
