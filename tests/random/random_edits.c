// SPDX-License-Identifier: MIT
/*
 * The random differential test of `qcowtool write`: images of every shape are edited in turns by
 * qemu and by random scripts, and after each script the guest's disk and every snapshot must be what
 * a model says, by qcowtool and by qemu, and both must find the image clean.
 *
 *	random_edits QCOWTOOL			the short run
 *	random_edits QCOWTOOL --edits=10000	cases until so many patches took effect
 *	random_edits QCOWTOOL --all		at least one case of every shape
 *	random_edits QCOWTOOL --seed=S --case=N	that one again; its folder is kept
 *
 * The environment says the same: QCOWTOOL_RANDOM_EDITS, QCOWTOOL_RANDOM_SEED, and
 * QCOWTOOL_RANDOM_FOLDER for the place of the cases' folders. A case depends on nothing but the seed
 * and its number. The folder of a case that failed is kept.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "random/scene.h"

#define SHORT_EDITS 1500
#define MOST_SHAPES 400
#define ROUNDS 3

struct run {
	uint64_t seed, edits;
	bool all;
	long only; /* the one case to run; -1 for all */
	char *tool;
	char folder[3000];
	struct shape shapes[MOST_SHAPES];
	unsigned int shape_count;
	struct totals totals;
	unsigned int passed, failed;
};

/* --- the matrix --- */

static bool is_possible(const struct shape *shape)
{
	if (shape->version == 2 && (shape->refcount_bits != 16 || shape->extended))
		return false;
	if (shape->refcount_bits == 1 && shape->snapshots)
		return false; /* a shared cluster cannot be counted */
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

		if (is_possible(&shape))
			run->shapes[run->shape_count++] = shape;
	}
}

/* Every shape once, in an order that the seed decides. */
static void make_shapes(struct run *run)
{
	static const unsigned int cluster_bits[] = {9, 12, 16, 21},
				  refcount_bits[] = {1, 8, 16, 64};
	struct rng rng = {run->seed};

	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++)
			add_shapes(run, cluster_bits[i], refcount_bits[j]);
	for (unsigned int left = run->shape_count; left > 1; left--) {
		uint64_t other = rng_below(&rng, left);
		struct shape shape = run->shapes[left - 1];

		run->shapes[left - 1] = run->shapes[other];
		run->shapes[other] = shape;
	}
}

static void describe(const struct shape *shape, char *text, size_t room)
{
	unsigned int cluster = 1u << shape->cluster_bits;

	snprintf(text, room, "%u%s clusters, v%u, %u-bit refcounts%s%s%s%s",
		 cluster >= 1024 ? cluster >> 10 : cluster, cluster >= 1024 ? "K" : "",
		 shape->version, shape->refcount_bits, shape->snapshots ? ", snapshots" : "",
		 shape->backing ? ", backing" : "", shape->compressed ? ", compressed" : "",
		 shape->extended ? ", extended L2" : "");
}

/* --- one case --- */

static bool run_rounds(struct scene *scene)
{
	uint64_t rounds = rng_between(&scene->rng, 1, ROUNDS);

	if (!scene_make(scene))
		return false;
	for (uint64_t round = 0; round < rounds; round++) {
		if (rng_chance(&scene->rng, 65) && !scene_qemu_turn(scene))
			return false;
		if (scene->shape.snapshots && (round == 0 || rng_chance(&scene->rng, 70))
		    && !scene_snapshot_turn(scene))
			return false;
		if (rng_chance(&scene->rng, 30) && !scene_qemu_turn(scene))
			return false;
		if (!scene_verify_start(scene)) {
			char reason[400];

			snprintf(reason, sizeof(reason), "%.399s", scene->reason);
			return scene_fail(scene, "before script %u: %s", scene->last_script + 1,
					  reason);
		}
		if (!scene_script_turn(scene) || !scene_verify(scene))
			return false;
	}
	return true;
}

static void remove_folder(const char *folder)
{
	struct command command = {0};

	command_add(&command, "rm");
	command_add(&command, "-rf");
	command_add(&command, "--");
	command_add(&command, "%s", folder);
	command_run(&command, "/dev/null", NULL);
}

static void run_case(struct run *run, unsigned int number)
{
	struct scene scene = {
		.rng = {run->seed ^ (uint64_t)(number + 1) << 32},
		.shape = run->shapes[number % run->shape_count],
		.tool = run->tool,
		.totals = &run->totals,
	};
	char folder[sizeof(run->folder) + 32], words[128];

	describe(&scene.shape, words, sizeof(words));
	snprintf(folder, sizeof(folder), "%s/case-%u", run->folder, number);
	if (mkdir(folder, 0777) < 0 || chdir(folder) < 0)
		err(2, "%s", folder);
	run->totals.images++;
	if (run_rounds(&scene)) {
		run->passed++;
		printf("[       OK ] case %u: %s\n", number, words);
		if (run->only < 0 && chdir("/") == 0)
			remove_folder(folder);
		return;
	}
	run->failed++;
	printf("not ok case %u: %s\n\t%s\n\tall of it is in %s, the commands in its log\n"
	       "\tagain: random_edits %s --seed=%" PRIu64 " --case=%u\n",
	       number, words, scene.reason, folder, run->tool, run->seed, number);
}

static void run_cases(struct run *run)
{
	unsigned int most = run->all ? run->shape_count : 0;

	if (run->only >= 0) {
		run_case(run, (unsigned int)run->only);
		return;
	}
	for (unsigned int i = 0; run->totals.edits < run->edits || i < most; i++) {
		run_case(run, i);
		if (run->failed >= 10) {
			printf("enough has failed\n");
			break;
		}
	}
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
		{"edits", required_argument, NULL, 'e'},
		{"seed", required_argument, NULL, 's'},
		{"case", required_argument, NULL, 'c'},
		{"all", no_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'e')
			run->edits = number_or_die(optarg);
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
		errx(2, "usage: random_edits QCOWTOOL [--edits=N] [--all] [--seed=S [--case=N]]");
	run->tool = realpath(argv[optind], NULL);
	if (!run->tool)
		err(2, "%s", argv[optind]);
}

static void take_environment(struct run *run)
{
	const char *edits = getenv("QCOWTOOL_RANDOM_EDITS"), *seed = getenv("QCOWTOOL_RANDOM_SEED");

	run->seed = seed ? number_or_die(seed) : 1;
	run->edits = edits ? number_or_die(edits) : SHORT_EDITS;
	run->all = run->edits >= 10000;
	run->only = -1;
}

static void make_folder(struct run *run)
{
	const char *place = getenv("QCOWTOOL_RANDOM_FOLDER");

	if (!place)
		place = getenv("TMPDIR");
	snprintf(run->folder, sizeof(run->folder), "%s/qcow-random-XXXXXX", place ? place : "/tmp");
	if (!mkdtemp(run->folder))
		err(2, "%s", run->folder);
}

static void sum_up(const struct run *run, time_t start)
{
	const struct totals *totals = &run->totals;

	printf("seed %" PRIu64 ": %" PRIu64 " edits in %" PRIu64 " scripts on %" PRIu64
	       " images, %" PRIu64 " edits in scripts that had to fail or were tried dry\n",
	       run->seed, totals->edits, totals->scripts, totals->images, totals->refused);
	printf("%.1f GiB of guest disks compared in %ld s; qcowtool write took %.1f s, at most "
	       "%.2f s and %ld MiB at a time\n",
	       (double)totals->bytes_compared / (1 << 30), (long)(time(NULL) - start),
	       totals->writing, totals->slowest, totals->peak_kib >> 10);
	if (run->failed)
		printf("[  FAILED  ] %u case(s)\n", run->failed);
	printf("%u passed, %u failed\n", run->passed, run->failed);
}

int main(int argc, char **argv)
{
	static struct run run;
	time_t start = time(NULL);

	setvbuf(stdout, NULL, _IOLBF, 0);
	take_environment(&run);
	take_options(&run, argc, argv);
	make_shapes(&run);
	make_folder(&run);
	run_cases(&run);
	sum_up(&run, start);
	if (run.failed == 0 && run.only < 0 && chdir("/") == 0)
		remove_folder(run.folder);
	free(run.tool);
	return run.failed ? 1 : 0;
}
