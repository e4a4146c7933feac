// SPDX-License-Identifier: MIT
/* Where edits go: at and around the borders of everything, on top of each other, and anywhere. */
#include "random/scene.h"
#include "random/sparse.h"

static uint64_t min(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

void scene_choose_hot(struct scene *scene)
{
	uint64_t clusters = sparse_bytes(MODEL) >> scene->shape.cluster_bits;
	uint64_t table = scene_table_bytes(scene) >> scene->shape.cluster_bits;

	for (int i = 0; i < SCENE_HOT; i++)
		scene->hot[i] = rng_below(&scene->rng, clusters);
	scene->hot[0] = 0;
	scene->hot[1] = clusters ? clusters - 1 : 0;
	if (clusters > table)
		scene->hot[2] = table - 1;
}

static uint64_t pick_cluster(struct scene *scene, uint64_t disk)
{
	struct rng *rng = &scene->rng;

	if (scene->huge || rng_chance(rng, 50))
		return scene->hot[rng_below(rng, SCENE_HOT)] + rng_below(rng, 2);
	return rng_below(rng, (disk >> scene->shape.cluster_bits) + 1);
}

static uint64_t pick_length(struct scene *scene)
{
	uint64_t cluster = scene_cluster_bytes(scene);
	struct rng *rng = &scene->rng;
	uint64_t run = cluster <= 4096 ? 40 : 4;

	switch (rng_below(rng, 8)) {
	case 0:
	case 1:
	case 2:
		return rng_between(rng, 1, 16);
	case 3:
		return rng_between(rng, 1, 4096);
	case 4:
		return rng_between(rng, 1, cluster);
	case 5:
		return cluster * rng_between(rng, 1, run);
	case 6:
		return cluster / 32 * rng_between(rng, 1, 64) + rng_below(rng, 3) - 1;
	default:
		return rng_between(rng, 1, 3 * cluster);
	}
}

static uint64_t pick_offset(struct scene *scene, uint64_t disk, uint64_t length)
{
	uint64_t cluster = scene_cluster_bytes(scene);
	uint64_t start = pick_cluster(scene, disk) * cluster;
	struct rng *rng = &scene->rng;

	switch (rng_below(rng, 10)) {
	case 0:
	case 1:
	case 2:
		return start;
	case 3:
	case 4:
		return start + rng_below(rng, cluster);
	case 5:
		return start + cluster - rng_between(rng, 1, 8);
	case 6:
		return start + cluster / 32 * rng_below(rng, 32) + rng_below(rng, 3);
	case 7:
		return disk - min(length, disk);
	case 8:
		return start + cluster - min(length, cluster);
	default:
		return start + rng_below(rng, 64);
	}
}

void scene_place(struct scene *scene, uint64_t most, uint64_t *ret_at, uint64_t *ret_length)
{
	uint64_t disk = sparse_bytes(MODEL);
	uint64_t length = min(pick_length(scene), min(most, disk));
	uint64_t at;

	if (length == 0)
		length = 1;
	at = pick_offset(scene, disk, length);
	*ret_at = min(at, disk - 1);
	*ret_length = min(length, disk - *ret_at);
}
