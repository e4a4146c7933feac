// SPDX-License-Identifier: MIT
#include "random/driver.h"

#include <err.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_SHAPES 2048
#define MOST_FAILED 10

struct run {
	const struct driver *driver;
	uint64_t seed, count, seconds;
	bool all;
	long only; /* the one case to run; -1 for all */
	char *tool;
	char folder[3000];
	struct shape shapes[MOST_SHAPES];
	unsigned int shape_count;
	unsigned int passed, failed;
	time_t start;
};

/* --- the matrix --- */

static bool can_be(const struct shape *shape)
{
	if (shape->version == 2 && (shape->refcount_bits != 16 || shape->extended))
		return false;
	return !shape->extended || shape->cluster_bits >= 14;
}

static void add_shapes(struct run *run, unsigned int cluster_bits, unsigned int refcount_bits)
{
	for (unsigned int bits = 0; bits < 32; bits++) {
		struct shape shape = {
			.cluster_bits = cluster_bits,
			.refcount_bits = refcount_bits,
			.version = bits & 1 ? 3 : 2,
			.snapshots = bits & 2,
			.backing = bits & 4,
			.compressed = bits & 8,
			.extended = bits & 16,
		};

		if (!can_be(&shape) || !run->driver->covers(&shape))
			continue;
		if (run->shape_count == MOST_SHAPES)
			errx(2, "more shapes than there is room for");
		run->shapes[run->shape_count++] = shape;
	}
}

/* Every shape once, in an order that the seed decides. */
static void make_shapes(struct run *run)
{
	const struct driver *driver = run->driver;
	struct rng rng = {run->seed};

	for (int i = 0; driver->cluster_bits[i]; i++)
		for (int j = 0; driver->refcount_bits[j]; j++)
			add_shapes(run, driver->cluster_bits[i], driver->refcount_bits[j]);
	for (unsigned int left = run->shape_count; left > 1; left--) {
		uint64_t other = rng_below(&rng, left);
		struct shape shape = run->shapes[left - 1];

		run->shapes[left - 1] = run->shapes[other];
		run->shapes[other] = shape;
	}
}

static void describe(const struct shape *shape, char *text, size_t room)
{
	snprintf(text, room, "clusters of %u bytes, v%u, %u-bit refcounts%s%s%s%s",
		 1u << shape->cluster_bits, shape->version, shape->refcount_bits,
		 shape->snapshots ? ", snapshots" : "", shape->backing ? ", backing" : "",
		 shape->compressed ? ", compressed" : "", shape->extended ? ", extended L2" : "");
}

/* --- one case --- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static void remove_folder(const char *folder)
{
	if (chdir("/") < 0 || nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) < 0)
		err(2, "%s", folder);
}

static void run_case(struct run *run, unsigned int number)
{
	struct scene scene = {
		.rng = {run->seed ^ (uint64_t)(number + 1) << 32},
		.shape = run->shapes[number % run->shape_count],
		.tool = run->tool,
		.totals = run->driver->totals,
	};
	char folder[sizeof(run->folder) + 32], words[128];

	describe(&scene.shape, words, sizeof(words));
	snprintf(folder, sizeof(folder), "%s/case-%u", run->folder, number);
	if (mkdir(folder, 0777) < 0 || chdir(folder) < 0)
		err(2, "%s", folder);
	if (run->driver->run(&scene)) {
		run->passed++;
		printf("[       OK ] case %u: %s\n", number, words);
		if (run->only < 0)
			remove_folder(folder);
		return;
	}
	run->failed++;
	printf("not ok case %u: %s\n\t%s\n\tall of it is in %s, the commands in its log\n"
	       "\tagain: %s %s --seed=%" PRIu64 " --case=%u\n",
	       number, words, scene.reason, folder, run->driver->program, run->tool, run->seed,
	       number);
}

static bool is_over(const struct run *run, unsigned int cases)
{
	if (run->seconds && (uint64_t)(time(NULL) - run->start) >= run->seconds)
		return true;
	if (run->failed >= MOST_FAILED) {
		printf("enough has failed\n");
		return true;
	}
	return *run->driver->done >= run->count && (!run->all || cases >= run->shape_count);
}

static void run_cases(struct run *run)
{
	if (run->only >= 0) {
		run_case(run, (unsigned int)run->only);
		return;
	}
	for (unsigned int i = 0; !is_over(run, i); i++)
		run_case(run, i);
}

/* --- the run --- */

static uint64_t number_or_die(const char *text)
{
	char *end;
	unsigned long long number = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0')
		errx(2, "'%s' is no number", text);
	return number;
}

static void take_options(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 't'},
		{"seed", required_argument, NULL, 's'},	 {"case", required_argument, NULL, 'c'},
		{"all", no_argument, NULL, 'a'},	 {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'n')
			run->count = number_or_die(optarg);
		else if (option == 't')
			run->seconds = number_or_die(optarg);
		else if (option == 's')
			run->seed = number_or_die(optarg);
		else if (option == 'c')
			run->only = (long)number_or_die(optarg);
		else if (option == 'a')
			run->all = true;
		else
			exit(2);
	}
	if (optind + 1 != argc)
		errx(2,
		     "usage: %s QCOWTOOL [--count=N] [--seconds=N] [--all] [--seed=S [--case=N]]",
		     run->driver->program);
	run->tool = realpath(argv[optind], NULL);
	if (!run->tool)
		err(2, "%s", argv[optind]);
}

static void take_environment(struct run *run)
{
	const char *count = getenv(run->driver->variable), *seed = getenv("QCOWTOOL_RANDOM_SEED");

	run->seed = seed ? number_or_die(seed) : 1;
	run->count = count ? number_or_die(count) : run->driver->short_count;
	run->only = -1;
}

static void make_folder(struct run *run)
{
	const char *place = getenv("QCOWTOOL_RANDOM_FOLDER");

	if (!place)
		place = getenv("TMPDIR");
	snprintf(run->folder, sizeof(run->folder), "%s/%s-XXXXXX", place ? place : "/tmp",
		 run->driver->program);
	if (!mkdtemp(run->folder))
		err(2, "%s", run->folder);
}

static void sum_up(const struct run *run)
{
	printf("seed %" PRIu64 ": %u cases of %u shapes in %ld s\n", run->seed,
	       run->passed + run->failed, run->shape_count, (long)(time(NULL) - run->start));
	run->driver->sum_up();
	if (run->failed)
		printf("[  FAILED  ] %u case(s)\n", run->failed);
	printf("%u passed, %u failed\n", run->passed, run->failed);
}

int driver_main(const struct driver *driver, int argc, char **argv)
{
	static struct run run;

#ifdef M_MMAP_THRESHOLD
	/* The same large buffers come and go with each look: they need not come as new pages. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
	run.driver = driver;
	run.start = time(NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	take_environment(&run);
	take_options(&run, argc, argv);
	make_shapes(&run);
	make_folder(&run);
	run_cases(&run);
	sum_up(&run);
	if (run.failed == 0 && run.only < 0)
		remove_folder(run.folder);
	free(run.tool);
	return run.failed ? 1 : 0;
}
