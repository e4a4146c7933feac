// SPDX-License-Identifier: MIT
/*
 * Steps of the random test of snapshots. qcowtool and qemu-img take turns at every verb. Where
 * refcounts are so narrow that a verb may have to be refused, qcowtool must leave every byte when it
 * refuses, and may do so only where qemu-img cannot do it either.
 */
#include <err.h>
#include <stdio.h>

#include "random/snapshot_scene.h"
#include "random/sparse.h"

#define COPY "copy.qcow2"

enum who {
	OURS,
	QEMUS
};

static void model_of(unsigned int number, char *path, size_t room)
{
	snprintf(path, room, "snap-%u.raw", number);
}

static bool any_snapshot(const struct scene *scene)
{
	for (int i = 0; i < SCENE_SNAPSHOTS; i++)
		if (scene->snapshots[i])
			return true;
	return false;
}

static int run_qemu(const char *verb, unsigned int number, const char *image)
{
	struct command command = {0};

	command_add(&command, "qemu-img");
	command_add(&command, "snapshot");
	command_add(&command, "-%c", verb[0]);
	command_add(&command, "s%u", number);
	command_add(&command, "%s", image);
	return command_run(&command, LOG, NULL).status;
}

static int run_ours(struct scene *scene, const char *verb, unsigned int number, unsigned int new,
		    bool dry)
{
	struct command command = {0};

	command_add(&command, "%s", scene->tool);
	command_add(&command, "snapshot-cow");
	command_add(&command, "%s", verb);
	if (rng_chance(&scene->rng, 95))
		command_add(&command, "--no-sync");
	if (rng_chance(&scene->rng, 25))
		command_add(&command, "--trust-refcounts");
	if (dry)
		command_add(&command, "--dry-run");
	command_add(&command, IMAGE);
	command_add(&command, "s%u", number);
	if (new)
		command_add(&command, "s%u", new);
	return command_run(&command, LOG, NULL).status;
}

static bool left_every_byte(struct snapshot_scene *s, const char *what)
{
	return sparse_same_file(BEFORE, IMAGE)
	       || scene_fail(s->scene, "%s has changed the image", what);
}

/* A verb of ours that failed: only because refcounts are too narrow, as they are for qemu. */
static bool may_refuse(struct snapshot_scene *s, const char *verb, unsigned int number, int status)
{
	if (status != 1 || s->scene->shape.refcount_bits >= 16 || verb[0] == 'd' || verb[0] == 'r')
		return scene_fail(s->scene, "snapshot-cow %s: status %d", verb, status);
	if (!left_every_byte(s, "a snapshot-cow that was refused"))
		return false;
	sparse_copy(IMAGE, COPY);
	if (run_qemu(verb, number, COPY) == 0)
		return scene_fail(s->scene, "snapshot-cow %s is refused, qemu-img can do it", verb);
	s->totals->refused++;
	return true;
}

static bool try_dry(struct snapshot_scene *s, const char *verb, unsigned int number,
		    unsigned int new)
{
	int status = run_ours(s->scene, verb, number, new, true);

	if (status != 0)
		return may_refuse(s, verb, number, status);
	s->totals->dry_runs++;
	return left_every_byte(s, "a dry run of snapshot-cow");
}

/* Runs the verb; *ret_done is false if it was refused, as it may be. */
static bool run_verb(struct snapshot_scene *s, enum who who, const char *verb, unsigned int number,
		     unsigned int new, bool *ret_done)
{
	struct scene *scene = s->scene;
	int status;
	bool dry = who == OURS && rng_chance(&scene->rng, 10);

	*ret_done = true;
	if (dry || scene->shape.refcount_bits < 16)
		sparse_copy(IMAGE, BEFORE);
	if (who == OURS) {
		if (dry && !try_dry(s, verb, number, new))
			return false;
		status = run_ours(scene, verb, number, new, false);
		*ret_done = status == 0;
		return status == 0 || may_refuse(s, verb, number, status);
	}
	status = run_qemu(verb, number, IMAGE);
	if (status == 0)
		return true;
	if (scene->shape.refcount_bits >= 16)
		return scene_fail(scene, "qemu-img snapshot -%c: status %d", verb[0], status);
	*ret_done = false;
	sparse_copy(BEFORE, IMAGE); /* qemu gives up halfway */
	return true;
}

/* --- the verbs, and what they make of the models --- */

static bool create(struct snapshot_scene *s, enum who who, unsigned int *slot)
{
	unsigned int number = ++s->scene->last_snapshot;
	char model[32];
	bool done;

	if (!run_verb(s, who, "create", number, 0, &done))
		return false;
	if (!done)
		return true;
	*slot = number;
	model_of(number, model, sizeof(model));
	sparse_copy(MODEL, model);
	s->totals->creates[who]++;
	return true;
}

static bool apply(struct snapshot_scene *s, enum who who, const unsigned int *slot)
{
	char model[32];
	bool done;

	if (!run_verb(s, who, "apply", *slot, 0, &done))
		return false;
	if (!done)
		return true;
	model_of(*slot, model, sizeof(model));
	s->totals->resized_applies += sparse_bytes(model) != sparse_bytes(MODEL);
	sparse_copy(model, MODEL);
	s->totals->applies[who]++;
	return true;
}

static bool delete_one(struct snapshot_scene *s, enum who who, unsigned int *slot)
{
	char model[32];
	bool done;

	if (!run_verb(s, who, "delete", *slot, 0, &done))
		return false;
	if (!done)
		return true;
	model_of(*slot, model, sizeof(model));
	if (remove(model) < 0)
		err(2, "%s", model);
	*slot = 0;
	s->totals->deletes[who]++;
	return true;
}

static bool rename_one(struct snapshot_scene *s, unsigned int *slot)
{
	unsigned int number = ++s->scene->last_snapshot;
	char old_model[32], new_model[32];
	bool done;

	if (!run_verb(s, OURS, "rename", *slot, number, &done))
		return false;
	model_of(*slot, old_model, sizeof(old_model));
	model_of(number, new_model, sizeof(new_model));
	if (rename(old_model, new_model) < 0)
		err(2, "%s", old_model);
	*slot = number;
	s->totals->renames++;
	return true;
}

/* A snapshot that is not there. */
static bool refuse(struct snapshot_scene *s)
{
	static const char *const verbs[] = {"apply", "delete", "rename"};
	size_t verb = (size_t)rng_below(&s->scene->rng, 3);
	int status;

	sparse_copy(IMAGE, BEFORE);
	status = run_ours(s->scene, verbs[verb], 777777, verb == 2 ? 1 : 0, false);
	if (status != 1)
		return scene_fail(s->scene, "snapshot-cow %s of no snapshot: status %d",
				  verbs[verb], status);
	s->totals->refused++;
	return left_every_byte(s, "a snapshot-cow that was refused");
}

/* --- the disk's size --- */

/*
 * By whole clusters, so that the model need not know what qemu leaves in the last one. qemu cannot
 * give version 2 zeroes over a backing file, nor another size beside snapshots.
 */
static bool resize(struct snapshot_scene *s)
{
	struct scene *scene = s->scene;
	uint64_t cluster = scene_cluster_bytes(scene), bytes = sparse_bytes(MODEL);
	struct command command = {0};
	bool grow = bytes % cluster == 0 && rng_chance(&scene->rng, 60);

	if (scene->shape.version == 2 && (scene->shape.backing || any_snapshot(scene)))
		return true;
	if (grow)
		bytes += rng_between(&scene->rng, 1, cluster < 65536 ? 3000 : 40) * cluster;
	else
		bytes = (bytes / cluster - rng_below(&scene->rng, bytes / cluster / 2)) * cluster;
	if (bytes == 0)
		return true;
	command_add(&command, "qemu-img");
	command_add(&command, "resize");
	command_add(&command, "--shrink");
	command_add(&command, "-fqcow2");
	command_add(&command, IMAGE);
	command_add(&command, "%llu", (unsigned long long)bytes);
	sparse_resize(MODEL, bytes);
	s->totals->resizes++;
	return scene_run(scene, &command, 0);
}

/* --- what comes next --- */

/* Any slot with a snapshot in it, or any without; NULL: there is none. */
static unsigned int *pick_slot(struct scene *scene, bool taken)
{
	unsigned int *found = NULL, seen = 0;

	for (int i = 0; i < SCENE_SNAPSHOTS; i++)
		if ((scene->snapshots[i] != 0) == taken && rng_below(&scene->rng, ++seen) == 0)
			found = &scene->snapshots[i];
	return found;
}

bool snapshot_turn(struct snapshot_scene *s)
{
	struct scene *scene = s->scene;
	unsigned int *taken = pick_slot(scene, true), *empty = pick_slot(scene, false);
	enum who who = rng_chance(&scene->rng, 35) ? QEMUS : OURS;
	uint64_t kind = rng_below(&scene->rng, 100);

	s->totals->steps++;
	if (kind < 20)
		return scene_qemu_turn(scene);
	if (kind < 30)
		return scene_script_turn(scene);
	if (kind < 38)
		return resize(s);
	if (kind < 40)
		return refuse(s);
	if (!taken || (kind < 62 && empty))
		return create(s, who, empty);
	if (kind < 80)
		return apply(s, who, taken);
	return kind < 92 ? delete_one(s, who, taken) : rename_one(s, taken);
}

bool snapshot_verify_list(struct snapshot_scene *s)
{
	struct command command = {0};

	command_add(&command, "%s", s->scene->tool);
	command_add(&command, "snapshot-cow");
	command_add(&command, "list");
	command_add(&command, IMAGE);
	if (command_run(&command, LOG, "list").status != 0)
		return scene_fail(s->scene, "qcowtool snapshot-cow list fails");
	command_add(&command, "qemu-img");
	command_add(&command, "snapshot");
	command_add(&command, "-l");
	command_add(&command, IMAGE);
	if (command_run(&command, LOG, "list-qemu").status != 0)
		return scene_fail(s->scene, "qemu-img snapshot -l fails");
	return sparse_same_file("list", "list-qemu")
	       || scene_fail(s->scene, "the lists of snapshots differ");
}
