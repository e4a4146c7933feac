// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/crew.h"

struct meeting {
	pthread_barrier_t all_here;
	atomic_uint came, deaf;
};

static void meet(void *context)
{
	struct meeting *m = context;
	sigset_t blocked;

	atomic_fetch_add(&m->came, 1);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGINT))
		atomic_fetch_add(&m->deaf, 1);
	pthread_barrier_wait(&m->all_here);
}

/* The barrier lets nobody through before four are there at once. */
static void all_threads_work_at_the_same_time_and_only_the_caller_takes_signals(void **state)
{
	struct meeting m = {0};

	(void)state;
	pthread_barrier_init(&m.all_here, NULL, 4);
	qc_crew_run(4, meet, &m);
	pthread_barrier_destroy(&m.all_here);
	assert_int_equal(m.came, 4);
	assert_int_equal(m.deaf, 3);
}

static void note_thread(void *context)
{
	*(pthread_t *)context = pthread_self();
}

static void a_crew_of_one_is_the_caller(void **state)
{
	pthread_t worker = 0;

	(void)state;
	qc_crew_run(1, note_thread, &worker);
	assert_true(pthread_equal(worker, pthread_self()));
}

static void sizes_are_bounded_and_never_zero(void **state)
{
	(void)state;
	assert_int_equal(qc_crew_size(3), 3);
	assert_int_equal(qc_crew_size(1000000), 256);
	assert_in_range(qc_crew_size(0), 1, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			all_threads_work_at_the_same_time_and_only_the_caller_takes_signals),
		cmocka_unit_test(a_crew_of_one_is_the_caller),
		cmocka_unit_test(sizes_are_bounded_and_never_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
