// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "random/scene.h"
#include "random/sparse.h"

#define SEEN "seen.raw" /* what a tool read from the image */

/* The first `bytes` of what was read are the model's. */
static bool agrees(struct scene *scene, const char *model, uint64_t bytes, const char *who)
{
	uint64_t at;

	scene->totals->bytes_compared += bytes;
	return sparse_same(model, SEEN, bytes, &at)
	       || scene_fail(scene, "%s shows something else than %s at offset %llu", who, model,
			     (unsigned long long)at);
}

/* By qcowtool; number 0 is the disk, any other a snapshot. */
static bool verify_read(struct scene *scene, const char *model, unsigned int number)
{
	struct command command = {0};

	unlink(SEEN);
	command_add(&command, "%s", scene->tool);
	command_add(&command, "read");
	if (number)
		command_add(&command, "--snapshot=s%u", number);
	command_add(&command, "-o");
	command_add(&command, SEEN);
	command_add(&command, IMAGE);
	if (!scene_run(scene, &command, 0))
		return false;
	if (sparse_bytes(SEEN) != sparse_bytes(model))
		return scene_fail(scene, "qcowtool read gives %llu bytes, %s has %llu",
				  (unsigned long long)sparse_bytes(SEEN), model,
				  (unsigned long long)sparse_bytes(model));
	return agrees(scene, model, sparse_bytes(model), "qcowtool read");
}

/* By qemu, which shows snapshots as long as the disk is now. */
static bool verify_snapshot(struct scene *scene, unsigned int number)
{
	struct command command = {0};
	char model[32];
	uint64_t bytes;

	snprintf(model, sizeof(model), "snap-%u.raw", number);
	command_add(&command, "qemu-img");
	command_add(&command, "convert");
	command_add(&command, "-fqcow2");
	command_add(&command, "-Oraw");
	command_add(&command, "-lsnapshot.name=s%u", number);
	command_add(&command, IMAGE);
	command_add(&command, SEEN);
	if (!scene_run(scene, &command, 0))
		return false;
	bytes = sparse_bytes(model);
	if (sparse_bytes(SEEN) < bytes)
		bytes = sparse_bytes(SEEN);
	return agrees(scene, model, bytes, "qemu-img convert -l")
	       && verify_read(scene, model, number);
}

static bool verify_compare(struct scene *scene)
{
	struct command command = {0};
	char text[256] = "";
	FILE *stream;

	command_add(&command, "qemu-img");
	command_add(&command, "compare");
	command_add(&command, "-fraw");
	command_add(&command, "-Fqcow2");
	command_add(&command, MODEL);
	command_add(&command, IMAGE);
	if (command_run(&command, LOG, "out").status != 0)
		return scene_fail(scene, "qemu-img compare: the disk is not what it must be");
	stream = fopen("out", "re");
	if (stream) {
		text[fread(text, 1, sizeof(text) - 1, stream)] = '\0';
		fclose(stream);
	}
	scene->totals->bytes_compared += sparse_bytes(MODEL);
	return strcmp(text, "Images are identical.\n") == 0
	       || scene_fail(scene, "qemu-img compare: %s", text);
}

static bool verify_clean(struct scene *scene, const char *tool)
{
	struct command command = {0};

	command_add(&command, "%s", tool);
	command_add(&command, "check");
	command_add(&command, IMAGE);
	return scene_run(scene, &command, 0);
}

bool scene_verify_start(struct scene *scene)
{
	return verify_clean(scene, "qemu-img") && verify_compare(scene);
}

bool scene_verify(struct scene *scene)
{
	if (!scene_verify_start(scene) || !verify_clean(scene, scene->tool)
	    || !verify_read(scene, MODEL, 0))
		return false;
	for (int i = 0; i < SCENE_SNAPSHOTS; i++)
		if (scene->snapshots[i] != 0 && !verify_snapshot(scene, scene->snapshots[i]))
			return false;
	return true;
}
