// SPDX-License-Identifier: MIT
/* Every kind of edit, of every kind of image, broken at every single call that reaches the file. */
#include "unit/txn/scenarios.h"

#include <errno.h>

enum {
	MODE_ONCE,
	MODE_PARTLY,
	MODE_FULL,
	MODE_DEAD,
	MODE_COUNT
};

static struct fault_plan plan_of(int mode, uint64_t at)
{
	switch (mode) {
	case MODE_ONCE:
		return (struct fault_plan){.calls = FAULT_ALL, .at = at, .os_errno = EIO};
	case MODE_PARTLY:
		return (struct fault_plan){.calls = FAULT_WRITE,
					   .at = at,
					   .os_errno = EIO,
					   .partly = true};
	case MODE_FULL:
		return (struct fault_plan){.calls = FAULT_WRITE | FAULT_RESIZE,
					   .at = at,
					   .os_errno = ENOSPC};
	default:
		return (struct fault_plan){.calls = FAULT_ALL,
					   .at = at,
					   .os_errno = EIO,
					   .sticky = true};
	}
}

/* What is left of it is settled by the next one that opens the image for writing. */
static void recovers(struct qc_file *mem)
{
	settle_well(mem);
	assert_sound(mem);
}

static void judge(const struct scenario *s, struct rig *r, int mode, int status)
{
	bool torn = status == -QC_E_OUTCOME_UNKNOWN && mode == MODE_PARTLY;
	bool is_old;

	if (torn)
		recovers(r->mem);
	assert_sound(r->mem);
	is_old = shows(r->mem, s->old_disk, s->old_length);
	if (status == 0) {
		assert_true(shows(r->mem, s->new_disk, s->new_length));
		recovers(r->mem);
		assert_true(shows(r->mem, s->new_disk, s->new_length));
		return;
	}
	if (status == -QC_E_OUTCOME_UNKNOWN) {
		assert_true(is_old || shows(r->mem, s->new_disk, s->new_length));
		recovers(r->mem);
		return;
	}
	assert_int_equal(status, mode == MODE_FULL ? -QC_E_NO_SPACE : -QC_E_IO);
	assert_int_equal(r->err.os_errno, mode == MODE_FULL ? ENOSPC : EIO);
	assert_true(is_old);
	if (mode == MODE_DEAD)
		recovers(r->mem);
	else
		assert_true(same_file(r->mem, s->bytes, s->length));
}

/* Breaks one call after the other until none is left. Modes but the first take turns, for time's sake. */
static void break_everywhere(const struct scenario *s, int mode)
{
	bool happened = true;

	for (uint64_t at = 0; happened; at++) {
		struct fault_plan plan = plan_of(mode, at);
		struct rig r;
		int status;

		rig_open(&r, s->bytes, s->length, &plan);
		status = scenario_run(s, &r);
		happened = fault_happened(r.fault);
		if (!happened)
			assert_int_equal(status, 0);
		judge(s, &r, mode, status);
		rig_close(&r);
		assert_true(at < 5000);
	}
}

static void break_edits(int mode)
{
	for (size_t i = 0; i < PICTURE_COUNT; i++)
		for (size_t j = 0; j < EDIT_COUNT; j++) {
			struct scenario s;

			if (!edit_fits(&edits[j], &pictures[i])
			    || (mode != MODE_ONCE && (i + j + (size_t)mode) % 2 != 0))
				continue;
			scenario_make(&s, &pictures[i], &edits[j]);
			break_everywhere(&s, mode);
			scenario_clear(&s);
		}
}

static void every_edit_gives_what_the_model_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++)
		for (size_t j = 0; j < EDIT_COUNT; j++) {
			struct scenario s;
			struct rig r;

			if (!edit_fits(&edits[j], &pictures[i]))
				continue;
			scenario_make(&s, &pictures[i], &edits[j]);
			rig_open(&r, s.bytes, s.length, NULL);
			if (scenario_run(&s, &r) < 0)
				fail_msg("%s: %s: %s", pictures[i].name, edits[j].name, r.err.text);
			assert_int_equal(guard_flips(r.guard), 1);
			assert_sound(r.mem);
			assert_true(shows(r.mem, s.new_disk, s.new_length));
			rig_close(&r);
			scenario_clear(&s);
		}
}

static void an_abort_leaves_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++)
		for (size_t j = 0; j < EDIT_COUNT; j++) {
			struct scenario s;
			struct rig r;

			if (!edit_fits(&edits[j], &pictures[i]))
				continue;
			scenario_make(&s, &pictures[i], &edits[j]);
			rig_open(&r, s.bytes, s.length, NULL);
			rig_must(&r, rig_begin(&r, NULL, edits[j].compress));
			rig_must(&r, edit_apply(&edits[j], r.txn, s.quarter, &r.err));
			assert_int_equal(rig_end(&r, -QC_E_INTERRUPTED), -QC_E_INTERRUPTED);
			if (!same_file(r.mem, s.bytes, s.length))
				fail_msg("%s: %s", pictures[i].name, edits[j].name);
			rig_close(&r);
			scenario_clear(&s);
		}
}

static void a_call_that_fails_once_leaves_every_byte(void **state)
{
	(void)state;
	break_edits(MODE_ONCE);
}

static void a_write_that_fails_half_way_leaves_every_byte(void **state)
{
	(void)state;
	break_edits(MODE_PARTLY);
}

static void a_full_disk_leaves_every_byte(void **state)
{
	(void)state;
	break_edits(MODE_FULL);
}

static void storage_that_dies_leaves_the_old_or_the_new_image(void **state)
{
	(void)state;
	break_edits(MODE_DEAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_edit_gives_what_the_model_says),
		cmocka_unit_test(an_abort_leaves_every_byte),
		cmocka_unit_test(a_call_that_fails_once_leaves_every_byte),
		cmocka_unit_test(a_write_that_fails_half_way_leaves_every_byte),
		cmocka_unit_test(a_full_disk_leaves_every_byte),
		cmocka_unit_test(storage_that_dies_leaves_the_old_or_the_new_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
