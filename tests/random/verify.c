// SPDX-License-Identifier: MIT
/*
 * Image and models agree. Our own view of the image is taken in this process, through the library:
 * one open for the check, the disk and all snapshots. What qemu thinks takes a process each.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"
#include "image/chain.h"
#include "random/scene.h"
#include "random/sparse.h"
#include "random/view.h"

#define SEEN "seen.raw" /* what a tool read from the image */

static void model_of(unsigned int number, char *path, size_t room)
{
	snprintf(path, room, number ? "snap-%u.raw" : MODEL, number);
}

/* --- by ourselves --- */

static void take_finding(void *context, const struct qc_finding *finding)
{
	struct scene *scene = context;

	if (qc_finding_kind(finding->id)->severity != QC_SEVERITY_NOTE && !*scene->reason)
		scene_fail(scene, "the check: %s", finding->message);
}

static bool verify_check(struct scene *scene, struct qc_file *file)
{
	const struct qc_check_options options = {.jobs = 1};
	const struct qc_finding_sink sink = {take_finding, scene};
	struct qc_check_result result;
	struct qc_err err;

	if (qc_check_run(file, &options, &sink, &result, &err) < 0)
		return scene_fail(scene, "the check: %s", err.text);
	if (result.corruptions == 0 && result.leaks == 0 && result.check_errors == 0)
		return true;
	return *scene->reason ? false : scene_fail(scene, "the check fails without a finding");
}

static bool verify_view(struct scene *scene, const struct qc_layer *layer, unsigned int number)
{
	struct view_difference difference;
	char model[32], name[32] = "";
	struct qc_err err;

	model_of(number, model, sizeof(model));
	if (number)
		snprintf(name, sizeof(name), "s%u", number);
	scene->totals->bytes_compared += sparse_bytes(model);
	scene->totals->views++;
	if (view_compare(layer, name, model, &difference, &err) < 0)
		return scene_fail(scene, "%s: %s", model, err.text);
	if (difference.kind == VIEW_OTHER_SIZE)
		return scene_fail(scene, "%s has another size than the %s", model,
				  number ? "snapshot" : "disk");
	return difference.kind == VIEW_SAME
	       || scene_fail(scene, "%s differs at offset %llu", model,
			     (unsigned long long)difference.at);
}

static bool verify_views(struct scene *scene, const struct qc_layer *layer)
{
	if (!verify_view(scene, layer, 0))
		return false;
	for (int i = 0; i < SCENE_SNAPSHOTS; i++)
		if (scene->snapshots[i] && !verify_view(scene, layer, scene->snapshots[i]))
			return false;
	return true;
}

static bool verify_inside(struct scene *scene)
{
	const struct qc_chain_open how = {.file.lock = QC_LOCK_READ, .policy = QC_CHAIN_ANY};
	struct qc_layer *layer;
	struct qc_err err;
	bool good;

	if (qc_chain_open(IMAGE, &how, &layer, &err) < 0)
		return scene_fail(scene, "cannot be opened: %s", err.text);
	good = verify_check(scene, layer->file) && verify_views(scene, layer);
	qc_layer_close(layer);
	return good;
}

/* --- by others --- */

/* The first `bytes` of what was read are the model's. */
static bool agrees(struct scene *scene, const char *model, uint64_t bytes, const char *who)
{
	uint64_t at;

	scene->totals->bytes_compared += bytes;
	return sparse_same(model, SEEN, bytes, &at)
	       || scene_fail(scene, "%s shows something else than %s at offset %llu", who, model,
			     (unsigned long long)at);
}

/* By the program, which must agree with the library; number 0 is the disk, any other a snapshot. */
static bool verify_read(struct scene *scene, unsigned int number)
{
	struct command command = {0};
	char model[32];

	model_of(number, model, sizeof(model));
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
		return scene_fail(scene, "qcowtool read gives another size than %s has", model);
	return agrees(scene, model, sparse_bytes(model), "qcowtool read");
}

/* qemu shows snapshots as long as the disk is now. */
static bool verify_by_qemu(struct scene *scene, unsigned int number)
{
	struct command command = {0};
	char model[32];
	uint64_t bytes;

	model_of(number, model, sizeof(model));
	command_add(&command, "qemu-img");
	command_add(&command, "convert");
	command_add(&command, "-fqcow2");
	command_add(&command, "-Oraw");
	command_add(&command, "-lsnapshot.name=s%u", number);
	command_add(&command, IMAGE);
	command_add(&command, SEEN);
	if (!scene_run(scene, &command, 0))
		return false;
	scene->totals->qemu_views++;
	bytes = sparse_bytes(model);
	if (sparse_bytes(SEEN) < bytes)
		bytes = sparse_bytes(SEEN);
	return agrees(scene, model, bytes, "qemu-img convert -l");
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

/* --- how much when --- */

bool scene_verify_start(struct scene *scene)
{
	char reason[400];

	if (verify_clean(scene, "qemu-img") && verify_inside(scene))
		return true;
	snprintf(reason, sizeof(reason), "%.399s", scene->reason);
	return scene_fail(scene, "before anything of ours: %s", reason);
}

/* Which snapshot qemu looks at, if any, and whether it looks at the disk, differs from step to step. */
bool scene_verify_step(struct scene *scene)
{
	uint64_t by_qemu = rng_below(&scene->rng, 3 * SCENE_SNAPSHOTS);

	if (!verify_inside(scene) || !verify_clean(scene, "qemu-img"))
		return false;
	if (by_qemu < SCENE_SNAPSHOTS)
		return !scene->snapshots[by_qemu]
		       || verify_by_qemu(scene, scene->snapshots[by_qemu]);
	return by_qemu > SCENE_SNAPSHOTS || verify_compare(scene);
}

bool scene_verify(struct scene *scene)
{
	if (!verify_inside(scene) || !verify_clean(scene, "qemu-img") || !verify_compare(scene)
	    || !verify_clean(scene, scene->tool) || !verify_read(scene, 0))
		return false;
	for (int i = 0; i < SCENE_SNAPSHOTS; i++)
		if (scene->snapshots[i] && !verify_by_qemu(scene, scene->snapshots[i]))
			return false;
	return !scene->snapshots[0] || verify_read(scene, scene->snapshots[0]);
}
