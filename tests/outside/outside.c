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
#include "outside/names.h"
#include "outside/trace.h"

struct options {
	bool full;
	const char *only, *folder;
	const char *part; /* kills, faults, records; NULL: all */
};

struct count {
	unsigned int passed, failed;
};

/* One part of the run, and how it is quoted in docs. */
struct part {
	const char *name;
	bool (*run)(const struct scene *scene, const char *folder, bool full, uint64_t *all);
	const char *what, *in_docs;
	uint64_t all; /* of these things there were so many */
	unsigned int failed;
};

static void each_scene(const struct options *o, struct count *count, struct part *part)
{
	for (size_t i = 0; i < scene_count; i++) {
		if (o->only && !strstr(scenes[i].name, o->only))
			continue;
		if (part->run(&scenes[i], o->folder, o->full, &part->all))
			count->passed++;
		else
			part->failed++;
	}
	count->failed += part->failed;
	printf("# %" PRIu64 " %s\n", part->all, part->what);
}

static bool is_chosen(const struct options *o, const char *part)
{
	return !o->part || strcmp(o->part, part) == 0;
}

static void print_for_docs(const struct part *parts, size_t count)
{
	printf("\n<!-- stopped -->\n\n| | how many | wrong |\n|-|--:|--:|\n");
	for (size_t i = 0; i < count; i++)
		printf("| %s | %" PRIu64 " | %u |\n", parts[i].in_docs, parts[i].all,
		       parts[i].failed);
	printf("\n<!-- /stopped -->\n");
}

static int run_all(const struct options *o)
{
	struct part parts[] = {
		{"kill", kills_run, "kills",
		 "SIGKILL before, inside and after each call; what is left is old or new, and the "
		 "command, run again, ends well",
		 0, 0},
		{"fail", faults_run, "failures",
		 "each call failing: EIO once and for good, another error, half a write, EINTR; exit "
		 "status, words and file keep the promise",
		 0, 0},
		{"record", figures_run, "states",
		 "every crash of what was recorded of them, a data file included", 0, 0},
	};
	const size_t part_count = sizeof(parts) / sizeof(parts[0]);
	struct count count = {0};
	bool compared = true;

	for (size_t i = 0; i < part_count; i++)
		if (is_chosen(o, parts[i].name))
			each_scene(o, &count, &parts[i]);
	if (is_chosen(o, "record")) {
		figures_control(o->folder) ? count.passed++ : count.failed++;
		names_control(o->folder) ? count.passed++ : count.failed++;
	}
	if (o->full && !o->part && !o->only)
		print_for_docs(parts, part_count);
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
