// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <unistd.h>

#include "random/snapshot_scene.h"
#include "random/sparse.h"

#define SEEN "seen.raw"

bool snapshot_same_file(const char *one, const char *other)
{
	uint64_t bytes = sparse_bytes(one), at;

	return bytes == sparse_bytes(other) && sparse_same(one, other, bytes, &at);
}

/* Number 0 is the disk. */
static bool verify_read(struct snapshot_scene *s, const char *model, unsigned int number)
{
	struct scene *scene = &s->scene;
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
	scene->totals->bytes_compared += sparse_bytes(model);
	s->totals->views += number != 0;
	return snapshot_same_file(SEEN, model)
	       || scene_fail(scene, "qcowtool read gives something else than %s", model);
}

/* qemu shows a snapshot as long as the disk is now. */
static bool verify_by_qemu(struct snapshot_scene *s, const char *model, unsigned int number)
{
	struct scene *scene = &s->scene;
	struct command command = {0};
	uint64_t bytes = sparse_bytes(model), at;

	command_add(&command, "qemu-img");
	command_add(&command, "convert");
	command_add(&command, "-fqcow2");
	command_add(&command, "-Oraw");
	command_add(&command, "-lsnapshot.name=s%u", number);
	command_add(&command, IMAGE);
	command_add(&command, SEEN);
	if (!scene_run(scene, &command, 0))
		return false;
	if (sparse_bytes(SEEN) < bytes)
		bytes = sparse_bytes(SEEN);
	scene->totals->bytes_compared += bytes;
	return sparse_same(model, SEEN, bytes, &at)
	       || scene_fail(scene, "qemu-img convert -l gives something else than %s at %llu",
			     model, (unsigned long long)at);
}

static bool verify_check(struct scene *scene, const char *tool)
{
	struct command command = {0};

	command_add(&command, "%s", tool);
	command_add(&command, "check");
	command_add(&command, IMAGE);
	return scene_run(scene, &command, 0);
}

/* The list is the same text by both. */
static bool verify_list(struct scene *scene)
{
	struct command command = {0};

	command_add(&command, "%s", scene->tool);
	command_add(&command, "snapshot-cow");
	command_add(&command, "list");
	command_add(&command, IMAGE);
	if (command_run(&command, LOG, "list").status != 0)
		return scene_fail(scene, "qcowtool snapshot-cow list fails");
	command_add(&command, "qemu-img");
	command_add(&command, "snapshot");
	command_add(&command, "-l");
	command_add(&command, IMAGE);
	if (command_run(&command, LOG, "list-qemu").status != 0)
		return scene_fail(scene, "qemu-img snapshot -l fails");
	return snapshot_same_file("list", "list-qemu")
	       || scene_fail(scene, "the lists of snapshots differ");
}

/* By qcowtool: all. By qemu, which takes longer: its check, and now and then something more. */
bool snapshot_verify(struct snapshot_scene *s)
{
	struct scene *scene = &s->scene;
	uint64_t by_qemu = rng_below(&scene->rng, 2 * SCENE_SNAPSHOTS);
	char model[32];

	if (!verify_check(scene, "qemu-img") || !verify_check(scene, scene->tool)
	    || !verify_read(s, MODEL, 0))
		return false;
	for (unsigned int i = 0; i < SCENE_SNAPSHOTS; i++) {
		if (scene->snapshots[i] == 0)
			continue;
		snprintf(model, sizeof(model), "snap-%u.raw", scene->snapshots[i]);
		if (!verify_read(s, model, scene->snapshots[i])
		    || (i == by_qemu && !verify_by_qemu(s, model, scene->snapshots[i])))
			return false;
	}
	return by_qemu <= SCENE_SNAPSHOTS || verify_list(scene);
}

/* All of it by both. */
bool snapshot_verify_all(struct snapshot_scene *s)
{
	return scene_verify(&s->scene) && verify_list(&s->scene);
}
