// SPDX-License-Identifier: MIT
/* The crash enumerator: every edit of every image, at every moment. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crash/campaign.h"
#include "crash/control.h"
#include "crash/must.h"
#include "crash/save.h"

struct options {
	bool full, list;
	const char *only; /* a part of "image/edit" */
	const char *save_folder;
};

static void add(struct tally *to, const struct tally *t)
{
	uint64_t *sum = (uint64_t *)to;
	const uint64_t *more = (const uint64_t *)t;

	for (size_t i = 0; i < sizeof(*t) / sizeof(uint64_t); i++)
		sum[i] += more[i];
}

static bool run_one(const struct options *o, size_t image, size_t edit, struct tally *sum)
{
	struct tally tally = {0};
	char name[128];
	struct campaign c = {
		.tally = &tally,
		.save_folder = o->save_folder,
		.name = name,
		.sample = 100,
		.referee_sample = o->full ? 50 : 60,
		.random_states = o->full ? 2000 : 400,
		.quick = !o->full,
	};
	bool ok;

	snprintf(name, sizeof(name), "%s/%s", image_kinds[image].name, edit_kinds[edit].name);
	campaign_open(&c, &image_kinds[image], &edit_kinds[edit]);
	campaign_crashes(&c);
	campaign_kills(&c);
	campaign_torn_headers(&c);
	campaign_false_journals(&c);
	ok = tally_bad(&tally) == 0;
	printf("%s %s: %" PRIu64 " states, %zu operations\n", ok ? "ok" : "not ok", name,
	       tally.states, c.log.count);
	fflush(stdout);
	campaign_close(&c);
	add(sum, &tally);
	return ok;
}

static void print_tally(const struct tally *t, double seconds, double cpu)
{
	printf("%" PRIu64 " states in %.1f s, %.1f s of one core (%.0f a second): %" PRIu64
	       " torn, %" PRIu64 " leaked, %" PRIu64 " corrupt, %" PRIu64 " lost, %" PRIu64
	       " disputed\n",
	       t->states, seconds, cpu, (double)t->states / cpu, t->torn, t->leaked, t->corrupt,
	       t->lost, t->disagreed);
	printf("of these %" PRIu64 " nested, %" PRIu64 " read and checked whole, %" PRIu64
	       " recovered, %" PRIu64 " resumed, %" PRIu64 " by qemu-img, %" PRIu64
	       " torn headers (%" PRIu64 " of them make sense as they are), %" PRIu64
	       " false journals\n",
	       t->nested, t->full, t->recovered, t->resumed, t->referee, t->torn_headers,
	       t->torn_left, t->false_journals);
}

/* The short run takes each image and each edit, but not every pair of them. */
static bool is_chosen(const struct options *o, size_t image, size_t edit)
{
	char name[128];

	if (!edit_fits(&edit_kinds[edit], &image_kinds[image]))
		return false;
	snprintf(name, sizeof(name), "%s/%s", image_kinds[image].name, edit_kinds[edit].name);
	if (o->only)
		return strstr(name, o->only) != NULL;
	return o->full || (image * 3 + edit) % 5 == 0;
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_all(const struct options *o)
{
	unsigned int passed = 0, failed = 0;
	struct tally sum = {0};
	double start = now(CLOCK_MONOTONIC), start_cpu = now(CLOCK_PROCESS_CPUTIME_ID);

	if (!o->only)
		control_run(&passed, &failed);
	for (size_t image = 0; image < image_kind_count; image++)
		for (size_t edit = 0; edit < edit_kind_count; edit++) {
			if (!is_chosen(o, image, edit))
				continue;
			if (run_one(o, image, edit, &sum))
				passed++;
			else
				failed++;
		}
	print_tally(&sum, now(CLOCK_MONOTONIC) - start, now(CLOCK_PROCESS_CPUTIME_ID) - start_cpu);
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"full", no_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'},
		{"save", required_argument, NULL, 's'},
		{0},
	};
	struct options o = {0};
	int key;

	while ((key = getopt_long(argc, argv, "fo:s:", longs, NULL)) != -1) {
		if (key == 'f')
			o.full = true;
		else if (key == 'o')
			o.only = optarg;
		else if (key == 's')
			o.save_folder = optarg;
		else
			return 64;
	}
	if (optind + 2 == argc && strcmp(argv[optind], "replay") == 0)
		return save_replay(argv[optind + 1]) ? 0 : 1;
	if (optind != argc) {
		fprintf(stderr,
			"usage: crash [--full] [--only PART] [--save FOLDER] | replay FILE\n");
		return 64;
	}
	return run_all(&o);
}
