// SPDX-License-Identifier: MIT
/*
 * One case of the random test: an image of a given shape in a folder of its own (the current one),
 * beside the models of what its disk and its snapshots must hold, and the steps that a case is made
 * of. A step returns false, with its reason in the scene, when something is not as it must be.
 *
 * The folder
 *	disk.qcow2	the image; before.qcow2 is what it was before the last script
 *	model.raw	what its guest must see; snap-N.raw likewise for snapshot sN
 *	backing.img	what it is backed by, if it is
 *	script-N	each script in turn, data-N what they and qemu-io take bytes from
 *	log		every command that was run, with what it said
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "random/process.h"
#include "random/rng.h"

#define IMAGE "disk.qcow2"
#define MODEL "model.raw"
#define BEFORE "before.qcow2"
#define BACKING "backing.img"
#define LOG "log"
#define SCENE_SNAPSHOTS 6 /* alive at a time */
#define SCENE_HOT 12

/* What a run covers every combination of. */
struct shape {
	unsigned int cluster_bits;
	unsigned int version;
	unsigned int refcount_bits;
	bool snapshots, backing, compressed, extended;
};

struct totals {
	uint64_t edits;	  /* patches that took effect */
	uint64_t refused; /* patches of scripts that had to fail, and of dry runs */
	uint64_t scripts, bytes_compared;
	uint64_t views, qemu_views; /* looks at a disk or snapshot through the library; by qemu */
	long peak_kib;		    /* of qcowtool write */
	double slowest;		    /* of them, in seconds */
	double writing;		    /* all of them, in seconds */
};

struct scene {
	struct rng rng;
	struct shape shape;
	const char *tool; /* the path of qcowtool */
	struct totals *totals;
	uint64_t most_bytes;	 /* of one edit; of a script, three times as many */
	bool huge;		 /* far more disk than is ever written */
	bool zero_by_discard;	 /* qemu-io may discard: the range reads as zeroes then */
	uint64_t hot[SCENE_HOT]; /* clusters that are touched again and again */
	unsigned int snapshots[SCENE_SNAPSHOTS]; /* their numbers; 0 for none */
	unsigned int last_snapshot, last_script, last_data;
	char reason[512];
};

static inline uint64_t scene_cluster_bytes(const struct scene *scene)
{
	return UINT64_C(1) << scene->shape.cluster_bits;
}

/* Guest bytes that one L2 table maps. */
static inline uint64_t scene_table_bytes(const struct scene *scene)
{
	return scene_cluster_bytes(scene) / (scene->shape.extended ? 16 : 8)
	       << scene->shape.cluster_bits;
}

/* How many, where each may cost a cluster: fewer if clusters are large. */
static inline uint64_t scene_few(const struct scene *scene, uint64_t many)
{
	return scene->shape.cluster_bits < 18 ? many : many / 4;
}

/* Says why the case fails; returns false. */
bool scene_fail(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs a command that must end with that status. */
bool scene_run(struct scene *scene, struct command *command, int status);

/* image.c: makes the image, its backing file and the model. */
bool scene_make(struct scene *scene);

/* place.c: a range of the disk, somewhere interesting; at least a byte, at most that many. */
void scene_place(struct scene *scene, uint64_t most, uint64_t *ret_at, uint64_t *ret_length);
void scene_choose_hot(struct scene *scene);

/* turns.c: qemu-io writes; a snapshot is made, applied or deleted; qcowtool runs a script. */
bool scene_qemu_turn(struct scene *scene);
bool scene_snapshot_turn(struct scene *scene);

/* script_turn.c */
bool scene_script_turn(struct scene *scene);

/*
 * verify.c: the disk and every snapshot are what their models say, by the library, and its check and
 * qemu's find the image clean. Before a step of ours: to know that it starts well. After a step: and
 * qemu now and then looks at the disk or a snapshot. The third: at all of them, and qcowtool too.
 */
bool scene_verify_start(struct scene *scene);
bool scene_verify_step(struct scene *scene);
bool scene_verify(struct scene *scene);

/* A new file of `length` random bytes, which also go into `model` at `at`. Returns its number. */
unsigned int scene_data(struct scene *scene, const char *model, uint64_t at, uint64_t length);
