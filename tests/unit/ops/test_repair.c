// SPDX-License-Identifier: MIT
/* Repairs of images in memory: what is changed, what is not, and what the report says of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "format/l2_entry.h"
#include "io/file_mem.h"
#include "ops/repair.h"
#include "support/image_builder.h"

static void count_finding(void *context, const struct qc_finding *finding)
{
	(void)finding;
	++*(unsigned int *)context;
}

struct repaired {
	struct qc_repair_report report;
	unsigned int before, after; /* findings */
	bool same;		    /* not one byte of the file differs */
};

static struct repaired repair(const uint8_t *bytes, size_t length,
			      const struct qc_repair_options *options)
{
	struct repaired ret = {0};
	const struct qc_finding_sink before = {count_finding, &ret.before};
	const struct qc_finding_sink after = {count_finding, &ret.after};
	struct qc_repair_files files = {0};
	struct qc_err err;

	assert_int_equal(qc_file_mem_open(bytes, length, &files.image, &err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(qc_file_mem_open(NULL, 0, &files.scratch[i], &err), 0);
	assert_int_equal(qc_repair_file(&files, options, &before, &after, &ret.report, &err), 0);
	ret.same = files.image->bytes == length
		   && memcmp(qc_file_mem_bytes(files.image), bytes, length) == 0;
	for (int i = 0; i < 2; i++)
		qc_file_close(files.scratch[i]);
	qc_file_close(files.image);
	return ret;
}

/* A count that is too low, one that is too high and a wrong flag; the unrepairable if asked for. */
static struct builder *damaged(bool hopeless, uint8_t **ret_bytes, size_t *ret_length)
{
	static uint8_t cluster[65536];
	struct builder *b = builder_new(NULL);
	uint64_t at;

	memset(cluster, 0x5a, sizeof(cluster));
	for (uint64_t i = 0; i < 5; i++)
		builder_data(b, i, cluster);
	builder_finish(b, ret_bytes, ret_length);
	builder_poke_refcount(b, builder_host_of(b, 0) >> 16, 0);
	builder_poke_refcount(b, builder_host_of(b, 1) >> 16, 3);
	at = builder_l2_entry_at(b, 2);
	builder_poke64(b, at, builder_peek64(b, at) & ~QC_L2_COPIED);
	if (hopeless) {
		at = builder_l2_entry_at(b, 3);
		builder_poke64(b, at, builder_peek64(b, at) | 2);
	}
	return b;
}

static void all_is_repaired_and_checked_again(void **state)
{
	const struct qc_repair_options options = {0};
	struct repaired repaired;
	uint8_t *bytes;
	size_t length;
	struct builder *b = damaged(false, &bytes, &length);

	(void)state;
	repaired = repair(bytes, length, &options);
	assert_true(repaired.report.changed);
	assert_false(repaired.same);
	assert_true(repaired.report.found.corruptions >= 2);
	assert_int_equal(repaired.report.after.corruptions, 0);
	assert_int_equal(repaired.report.after.leaks, 0);
	assert_true(repaired.before >= 3);
	assert_int_equal(repaired.after, 0);
	builder_free(b);
}

static void a_dry_run_says_the_same_and_changes_no_byte(void **state)
{
	const struct qc_repair_options options = {0}, dry = {.dry_run = true};
	struct repaired wet, said;
	uint8_t *bytes;
	size_t length;
	struct builder *b = damaged(false, &bytes, &length);

	(void)state;
	wet = repair(bytes, length, &options);
	said = repair(bytes, length, &dry);
	assert_true(said.same);
	assert_memory_equal(&wet.report.found, &said.report.found, sizeof(wet.report.found));
	assert_memory_equal(&wet.report.after, &said.report.after, sizeof(wet.report.after));
	builder_free(b);
}

static void leaks_alone_are_repaired_if_that_is_what_was_asked_for(void **state)
{
	const struct qc_repair_options options = {.leaks_only = true};
	struct repaired repaired;
	uint8_t *bytes;
	size_t length;
	struct builder *b = damaged(false, &bytes, &length);

	(void)state;
	repaired = repair(bytes, length, &options);
	assert_true(repaired.report.found.leaks > 0);
	assert_int_equal(repaired.report.after.leaks, 0);
	assert_true(repaired.report.after.corruptions > 0);
	builder_free(b);
}

/* What nothing refers to may be what the broken entry led to. */
static void beside_what_cannot_be_repaired_nothing_is_given_up(void **state)
{
	const struct qc_repair_options options = {0};
	struct repaired repaired;
	uint8_t *bytes;
	size_t length;
	struct builder *b = damaged(true, &bytes, &length);

	(void)state;
	repaired = repair(bytes, length, &options);
	assert_true(repaired.report.changed);
	assert_int_equal(repaired.report.after.corruptions, 1);
	assert_int_equal(repaired.report.after.leaks, repaired.report.found.leaks);
	builder_free(b);
}

static void a_sound_image_stays_as_it_is(void **state)
{
	const struct qc_repair_options options = {0};
	struct builder *b = builder_new(NULL);
	struct repaired repaired;
	uint8_t *bytes;
	size_t length;

	(void)state;
	builder_finish(b, &bytes, &length);
	repaired = repair(bytes, length, &options);
	assert_false(repaired.report.changed);
	assert_true(repaired.same);
	assert_int_equal(repaired.before + repaired.after, 0);
	builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_repaired_and_checked_again),
		cmocka_unit_test(a_dry_run_says_the_same_and_changes_no_byte),
		cmocka_unit_test(leaks_alone_are_repaired_if_that_is_what_was_asked_for),
		cmocka_unit_test(beside_what_cannot_be_repaired_nothing_is_given_up),
		cmocka_unit_test(a_sound_image_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
