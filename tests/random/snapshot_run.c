// SPDX-License-Identifier: MIT
/*
 * The random differential test of `qcowtool snapshot-cow`: images of every shape go through random
 * sequences of snapshot verbs, edits and changes of size, by qcowtool and qemu in turns. After each
 * step the disk and every snapshot must be what their models say, and both must find the image clean.
 *
 *	random_snapshots QCOWTOOL			the short run
 *	random_snapshots QCOWTOOL --sequences=5000	the long one
 *	random_snapshots QCOWTOOL --seconds=600		... or until the time is up
 *	random_snapshots QCOWTOOL --seed=S --case=N	that one again; its folder is kept
 *
 * The environment says the same: QCOWTOOL_RANDOM_SNAPSHOTS (sequences), QCOWTOOL_RANDOM_SEED, and
 * QCOWTOOL_RANDOM_FOLDER for the place of the folders.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "random/snapshot_scene.h"

#define SHORT_SEQUENCES 24
#define MOST_SHAPES 300
#define LEAST_STEPS 4
#define MOST_STEPS 12

struct run {
	uint64_t seed, sequences, seconds;
	long only; /* the one sequence to run; -1 for all */
	char *tool;
	char folder[3000];
	struct shape shapes[MOST_SHAPES];
	unsigned int shape_count;
	struct totals totals;
	struct snapshot_totals snapshots;
	unsigned int passed, failed;
};

/* --- the matrix --- */

static bool is_possible(const struct shape *shape)
{
	if (shape->version == 2 && (shape->refcount_bits != 16 || shape->extended))
		return false;
	return !shape->extended || shape->cluster_bits >= 14;
}

static void add_shapes(struct run *run, unsigned int cluster_bits, unsigned int refcount_bits)
{
	for (unsigned int bits = 0; bits < 16; bits++) {
		struct shape shape = {
			.cluster_bits = cluster_bits,
			.refcount_bits = refcount_bits,
			.version = bits & 1 ? 3 : 2,
			.snapshots = true,
			.backing = bits & 2,
			.compressed = bits & 4,
			.extended = bits & 8,
		};

		if (is_possible(&shape))
			run->shapes[run->shape_count++] = shape;
	}
}

/* Every shape once, in an order that the seed decides. */
static void make_shapes(struct run *run)
{
	static const unsigned int cluster_bits[] = {9, 12, 16, 21};
	struct rng rng = {run->seed};

	for (int i = 0; i < 4; i++)
		for (unsigned int refcount_bits = 1; refcount_bits <= 64; refcount_bits *= 2)
			add_shapes(run, cluster_bits[i], refcount_bits);
	for (unsigned int left = run->shape_count; left > 1; left--) {
		uint64_t other = rng_below(&rng, left);
		struct shape shape = run->shapes[left - 1];

		run->shapes[left - 1] = run->shapes[other];
		run->shapes[other] = shape;
	}
}

static void describe(const struct shape *shape, char *text, size_t room)
{
	snprintf(text, room, "clusters of %u bytes, v%u, %u-bit refcounts%s%s%s",
		 1u << shape->cluster_bits, shape->version, shape->refcount_bits,
		 shape->backing ? ", backing" : "", shape->compressed ? ", compressed" : "",
		 shape->extended ? ", extended L2" : "");
}

/* --- one sequence --- */

static bool run_steps(struct snapshot_scene *s)
{
	uint64_t steps = rng_between(&s->scene.rng, LEAST_STEPS, MOST_STEPS);

	if (!scene_make(&s->scene) || !scene_qemu_turn(&s->scene) || !scene_verify_start(&s->scene))
		return false;
	while (steps-- > 0)
		if (!snapshot_turn(s) || !snapshot_verify(s))
			return false;
	return snapshot_verify_all(s);
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

static void run_sequence(struct run *run, unsigned int number)
{
	struct snapshot_scene s = {
		.scene = {.rng = {run->seed ^ (uint64_t)(number + 1) << 32},
			  .shape = run->shapes[number % run->shape_count],
			  .tool = run->tool,
			  .totals = &run->totals},
		.totals = &run->snapshots,
	};
	char folder[sizeof(run->folder) + 32], words[128];

	describe(&s.scene.shape, words, sizeof(words));
	snprintf(folder, sizeof(folder), "%s/case-%u", run->folder, number);
	if (mkdir(folder, 0777) < 0 || chdir(folder) < 0)
		err(2, "%s", folder);
	if (run_steps(&s)) {
		run->passed++;
		printf("[       OK ] sequence %u: %s\n", number, words);
		if (run->only < 0 && chdir("/") == 0)
			remove_folder(folder);
		return;
	}
	run->failed++;
	printf("not ok sequence %u: %s\n\t%s\n\tall of it is in %s, the commands in its log\n"
	       "\tagain: random_snapshots %s --seed=%" PRIu64 " --case=%u\n",
	       number, words, s.scene.reason, folder, run->tool, run->seed, number);
}

static void run_sequences(struct run *run, time_t start)
{
	if (run->only >= 0) {
		run_sequence(run, (unsigned int)run->only);
		return;
	}
	for (unsigned int i = 0; i < run->sequences; i++) {
		if (run->seconds && (uint64_t)(time(NULL) - start) >= run->seconds)
			break;
		run_sequence(run, i);
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
		{"sequences", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 't'},
		{"seed", required_argument, NULL, 's'},
		{"case", required_argument, NULL, 'c'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'n')
			run->sequences = number_or_die(optarg);
		else if (option == 't')
			run->seconds = number_or_die(optarg);
		else if (option == 's')
			run->seed = number_or_die(optarg);
		else if (option == 'c')
			run->only = (long)number_or_die(optarg);
		else
			exit(2);
	}
	if (optind + 1 != argc)
		errx(2, "usage: random_snapshots QCOWTOOL [--sequences=N] [--seconds=N] "
			"[--seed=S [--case=N]]");
	run->tool = realpath(argv[optind], NULL);
	if (!run->tool)
		err(2, "%s", argv[optind]);
}

static void take_environment(struct run *run)
{
	const char *sequences = getenv("QCOWTOOL_RANDOM_SNAPSHOTS");
	const char *seed = getenv("QCOWTOOL_RANDOM_SEED");

	run->seed = seed ? number_or_die(seed) : 1;
	run->sequences = sequences ? number_or_die(sequences) : SHORT_SEQUENCES;
	run->only = -1;
}

static void make_folder(struct run *run)
{
	const char *place = getenv("QCOWTOOL_RANDOM_FOLDER");

	if (!place)
		place = getenv("TMPDIR");
	snprintf(run->folder, sizeof(run->folder), "%s/qcow-snapshots-XXXXXX",
		 place ? place : "/tmp");
	if (!mkdtemp(run->folder))
		err(2, "%s", run->folder);
}

static void sum_up(const struct run *run, time_t start)
{
	const struct snapshot_totals *t = &run->snapshots;

	printf("seed %" PRIu64 ": %u sequences, %" PRIu64 " steps in %ld s\n", run->seed,
	       run->passed + run->failed, t->steps, (long)(time(NULL) - start));
	printf("by qcowtool and by qemu-img: %" PRIu64 " and %" PRIu64 " creates, %" PRIu64
	       " and %" PRIu64 " applies, %" PRIu64 " and %" PRIu64 " deletes; %" PRIu64
	       " renames, %" PRIu64 " scripts, %" PRIu64 " resizes\n",
	       t->creates[0], t->creates[1], t->applies[0], t->applies[1], t->deletes[0],
	       t->deletes[1], t->renames, run->totals.scripts, t->resizes);
	printf("%" PRIu64 " applies changed the disk's size, %" PRIu64
	       " verbs were refused, %" PRIu64 " tried dry; %" PRIu64
	       " looks at snapshots, %.1f GiB compared\n",
	       t->resized_applies, t->refused, t->dry_runs, t->views,
	       (double)run->totals.bytes_compared / (1 << 30));
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
	run_sequences(&run, start);
	sum_up(&run, start);
	if (run.failed == 0 && run.only < 0 && chdir("/") == 0)
		remove_folder(run.folder);
	free(run.tool);
	return run.failed ? 1 : 0;
}
