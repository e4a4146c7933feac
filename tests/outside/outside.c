// SPDX-License-Identifier: MIT
/* Real programs under observation: killed, failed and recorded at each system call that counts. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash/must.h"
#include "outside/faults.h"
#include "outside/figures.h"
#include "outside/kills.h"
#include "outside/trace.h"

struct options {
	bool full;
	const char *only, *folder;
	const char *part; /* kills, faults, records; NULL: all */
};

struct count {
	unsigned int passed, failed;
};

static void each_scene(const struct options *o, struct count *count,
		       bool (*run)(const struct scene *scene, const char *folder, bool full,
				   uint64_t *all),
		       const char *what)
{
	uint64_t all = 0;

	for (size_t i = 0; i < scene_count; i++) {
		if (o->only && !strstr(scenes[i].name, o->only))
			continue;
		if (run(&scenes[i], o->folder, o->full, &all))
			count->passed++;
		else
			count->failed++;
	}
	printf("# %" PRIu64 " %s\n", all, what);
}

static bool is_chosen(const struct options *o, const char *part)
{
	return !o->part || strcmp(o->part, part) == 0;
}

static int run_all(const struct options *o)
{
	struct count count = {0};
	bool compared = true;

	if (is_chosen(o, "kill"))
		each_scene(o, &count, kills_run, "kills");
	if (is_chosen(o, "fail"))
		each_scene(o, &count, faults_run, "failures");
	if (is_chosen(o, "record")) {
		figures_control(o->folder) ? count.passed++ : count.failed++;
		each_scene(o, &count, figures_run, "states");
	}
	if (o->full && is_chosen(o, "compare"))
		compared = figures_compare(o->only, o->folder);
	printf("%u passed, %u failed\n", count.passed, count.failed + !compared);
	return count.failed || !compared ? 1 : 0;
}

/* What the scenes' scripts are told by the environment. */
static bool find_programs(void)
{
	if (getenv("QCOWTOOL") && getenv("INTERRUPTED"))
		return true;
	fprintf(stderr, "QCOWTOOL and INTERRUPTED must be the absolute paths of those programs\n");
	return false;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"full", no_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'},
		{"folder", required_argument, NULL, 'd'},
		{0},
	};
	struct options o = {.folder = P_tmpdir};
	const char *why;
	int key;

	while ((key = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (key == 'f')
			o.full = true;
		else if (key == 'o')
			o.only = optarg;
		else if (key == 'd')
			o.folder = optarg;
		else
			return 64;
	}
	if (optind < argc)
		o.part = argv[optind++];
	if (optind < argc || !find_programs()) {
		fprintf(stderr, "usage: outside [--full] [--only PART-OF-NAME] [--folder FOLDER] "
				"[kill|fail|record|compare]\n");
		return 64;
	}
	o.folder = realpath(o.folder, NULL); /* the working directory changes */
	must(o.folder);
	why = trace_refusal();
	if (why) {
		printf("ok outside # skip %s\n0 passed, 0 failed\n", why);
		return 0;
	}
	return run_all(&o);
}
