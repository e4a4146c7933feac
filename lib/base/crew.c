// SPDX-License-Identifier: MIT
#include "base/crew.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define THREADS_MAX 256u
#define STACK_BYTES ((size_t)256 << 10)

struct crew {
	void (*work)(void *context);
	void *context;
};

unsigned int qc_crew_size(unsigned int wanted)
{
	cpu_set_t set;
	int count = 1;

	if (wanted > 0)
		return wanted < THREADS_MAX ? wanted : THREADS_MAX;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = CPU_COUNT(&set);
	return count < 1 ? 1 : count < (int)THREADS_MAX ? (unsigned int)count : THREADS_MAX;
}

static void *help(void *context)
{
	const struct crew *crew = context;

	crew->work(crew->context);
	return NULL;
}

static unsigned int start(pthread_t *helpers, unsigned int wanted, struct crew *crew)
{
	unsigned int started = 0;
	pthread_attr_t attributes;
	sigset_t all, before;

	if (pthread_attr_init(&attributes) != 0)
		return 0;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (started < wanted && pthread_create(&helpers[started], &attributes, help, crew) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

void qc_crew_run(unsigned int threads, void (*work)(void *context), void *context)
{
	struct crew crew = {.work = work, .context = context};
	pthread_t helpers[THREADS_MAX];
	unsigned int started = 0;

	if (threads > 1)
		started =
			start(helpers, (threads < THREADS_MAX ? threads : THREADS_MAX) - 1, &crew);
	work(context);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
}
