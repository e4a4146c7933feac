// SPDX-License-Identifier: MIT
#include "random/scene.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "random/sparse.h"

bool scene_fail(struct scene *scene, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(scene->reason, sizeof(scene->reason), format, list);
	va_end(list);
	return false;
}

bool scene_run(struct scene *scene, struct command *command, int status)
{
	char words[160];
	struct outcome outcome;

	snprintf(words, sizeof(words), "%s %s", command->words[0], command->words[1]);
	outcome = command_run(command, LOG, NULL);
	return outcome.status == status
	       || scene_fail(scene, "%s: status %d instead of %d", words, outcome.status, status);
}

unsigned int scene_data(struct scene *scene, const char *model, uint64_t at, uint64_t length)
{
	uint8_t *bytes = malloc((size_t)length + 1);
	char path[32];

	if (!bytes)
		err(2, "malloc");
	snprintf(path, sizeof(path), "data-%u", ++scene->last_data);
	rng_fill(&scene->rng, bytes, (size_t)length);
	sparse_create(path, 0);
	sparse_write(path, 0, bytes, (size_t)length);
	sparse_write(model, at, bytes, (size_t)length);
	free(bytes);
	return scene->last_data;
}
