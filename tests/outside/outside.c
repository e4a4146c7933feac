// SPDX-License-Identifier: MIT
/* Real programs under observation: killed, failed and recorded at each system call that counts. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash/must.h"
#include "outside/kills.h"
#include "outside/trace.h"

struct options {
	bool full;
	const char *only, *folder;
};

struct count {
	unsigned int passed, failed;
};

static void each_scene(const struct options *o, struct count *count,
		       bool (*run)(const struct scene *scene, const char *folder, bool full))
{
	for (size_t i = 0; i < scene_count; i++) {
		if (o->only && !strstr(scenes[i].name, o->only))
			continue;
		if (run(&scenes[i], o->folder, o->full))
			count->passed++;
		else
			count->failed++;
	}
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
	struct count count = {0};
	const char *why;
	int key;

	while ((key = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		if (key == 'f')
			o.full = true;
		else if (key == 'o')
			o.only = optarg;
		else if (key == 'd')
			o.folder = optarg;
		else
			return 64;
	}
	why = trace_refusal();
	if (why) {
		printf("ok outside # skip %s\n0 passed, 0 failed\n", why);
		return 0;
	}
	each_scene(&o, &count, kills_run);
	printf("%u passed, %u failed\n", count.passed, count.failed);
	return count.failed || !count.passed;
}
