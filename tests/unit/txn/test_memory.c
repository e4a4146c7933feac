// SPDX-License-Identifier: MIT
/*
 * Every edit of every kind of image, with memory running out at every single allocation. The
 * program is linked with --wrap for the allocating functions; the leak sanitizer sees to the rest.
 */
#include "unit/txn/scenarios.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_reallocarray(void *old, size_t count, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes);

static bool counting;
static uint64_t seen, failing;

static bool runs_out(void)
{
	return counting && seen++ == failing;
}

void *__wrap_malloc(size_t bytes)
{
	return runs_out() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return runs_out() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return runs_out() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_reallocarray(void *old, size_t count, size_t bytes)
{
	return runs_out() ? NULL : __real_reallocarray(old, count, bytes);
}

/* One run in which allocation number `at` fails; false if there are not so many. */
static bool run_out(const struct scenario *s, uint64_t at)
{
	struct rig r = {0};
	int status;

	assert_int_equal(qc_file_mem_open(s->bytes, s->length, &r.mem, &r.err), 0);
	r.guard = r.mem; /* a guard of our own would need memory too */
	seen = 0;
	failing = at;
	counting = true;
	status = scenario_run(s, &r);
	counting = false;
	if (seen <= at) {
		assert_int_equal(status, 0);
	} else if (status == 0) { /* while freed space was given back: done all the same */
		assert_sound(r.mem);
		assert_true(shows(r.mem, s->new_disk, s->new_length));
	} else {
		assert_int_equal(status, -QC_E_NO_MEMORY);
		assert_true(same_file(r.mem, s->bytes, s->length));
	}
	qc_file_close(r.mem);
	return seen > at;
}

static void defect_15_memory_that_runs_out_leaves_nothing_behind(void **state)
{
	(void)state;
	for (size_t i = 0; i < PICTURE_COUNT; i++)
		for (size_t j = 0; j < EDIT_COUNT; j++) {
			struct scenario s;
			uint64_t at = 0;

			if (!edit_fits(&edits[j], &pictures[i]))
				continue;
			scenario_make(&s, &pictures[i], &edits[j]);
			while (run_out(&s, at))
				assert_true(++at < 2000);
			assert_true(at > 10);
			scenario_clear(&s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defect_15_memory_that_runs_out_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
