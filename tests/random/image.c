// SPDX-License-Identifier: MIT
/* The image that a case starts with: made by qemu, in all the ways that leave their traces in it. */
#include <stdio.h>
#include <string.h>

#include "random/scene.h"
#include "random/sparse.h"

/* More L2 tables than are kept in memory, if they are large; half of what file systems can hold. */
static uint64_t most_huge_bytes(const struct scene *scene)
{
	uint64_t bytes = scene_table_bytes(scene) * 24;

	return bytes < UINT64_C(6) << 40 ? bytes : UINT64_C(6) << 40;
}

static uint64_t draw_disk_bytes(struct scene *scene)
{
	uint64_t cluster = scene_cluster_bytes(scene), bytes;
	struct rng *rng = &scene->rng;

	scene->huge = scene->shape.cluster_bits >= 16 && rng_chance(rng, 15);
	if (scene->huge)
		bytes = rng_between(rng, scene_table_bytes(scene), most_huge_bytes(scene));
	else if (cluster < 65536)
		bytes = rng_between(rng, 64, 6000) * cluster;
	else
		bytes = rng_between(rng, 3 * cluster, (4u << 20) + 14 * cluster);
	if (rng_chance(rng, 25))
		bytes -= bytes % cluster;
	return bytes - bytes % 512;
}

/* Some pieces of the model become random bytes. */
static void scatter(struct scene *scene, const char *path, uint64_t bytes)
{
	uint64_t pieces = rng_between(&scene->rng, 3, 20);

	while (pieces-- > 0) {
		uint64_t length = rng_between(&scene->rng, 1, 100000);
		uint64_t at = scene->huge ? rng_below(&scene->rng, 1 << 24)
					  : rng_below(&scene->rng, bytes);

		if (at + length <= bytes)
			scene_data(scene, path, at, length);
	}
}

/* The backing file is shorter than the disk, as long, or longer; what it lacks is zero. */
static bool make_backing(struct scene *scene, uint64_t disk, const char **ret_format)
{
	struct command command = {0};
	struct rng *rng = &scene->rng;
	uint64_t bytes = disk;

	if (rng_chance(rng, 66))
		bytes = rng_chance(rng, 50) ? disk / 4 + rng_below(rng, disk / 2)
					    : disk + rng_below(rng, disk / 2);
	*ret_format = rng_chance(rng, 50) ? "raw" : "qcow2";
	if (strcmp(*ret_format, "qcow2") == 0 || rng_chance(rng, 50))
		bytes -= bytes % 512;
	sparse_create("backing.raw", bytes);
	scatter(scene, "backing.raw", bytes);
	sparse_copy("backing.raw", MODEL);
	sparse_resize(MODEL, disk);
	if (strcmp(*ret_format, "raw") == 0)
		return rename("backing.raw", BACKING) == 0;
	command_add(&command, "qemu-img");
	command_add(&command, "convert");
	command_add(&command, "-fraw");
	command_add(&command, "-Oqcow2");
	if (rng_chance(rng, 30))
		command_add(&command, "-c");
	command_add(&command, "-ocluster_size=%u",
		    1u << rng_between(rng, scene->huge ? 16 : 9, 17));
	command_add(&command, "backing.raw");
	command_add(&command, BACKING);
	return scene_run(scene, &command, 0);
}

static void add_creation_options(struct scene *scene, struct command *command, bool may_preallocate)
{
	const struct shape *shape = &scene->shape;
	struct rng *rng = &scene->rng;

	command_add(command, "-ocompat=%s,cluster_size=%u", shape->version == 2 ? "0.10" : "1.1",
		    1u << shape->cluster_bits);
	if (shape->version > 2)
		command_add(command,
			    "-orefcount_bits=%u,extended_l2=%s,lazy_refcounts=%s,"
			    "compression_type=%s",
			    shape->refcount_bits, shape->extended ? "on" : "off",
			    rng_chance(rng, 15) ? "on" : "off",
			    rng_chance(rng, 30) ? "zstd" : "zlib");
	if (may_preallocate && !scene->huge && rng_chance(rng, 20))
		command_add(command, "-opreallocation=metadata");
}

static bool make_empty(struct scene *scene, uint64_t disk)
{
	struct command command = {0};
	const char *format = NULL;

	sparse_create(MODEL, disk);
	if (scene->shape.backing && !make_backing(scene, disk, &format))
		return false;
	command_add(&command, "qemu-img");
	command_add(&command, "create");
	command_add(&command, "-fqcow2");
	add_creation_options(scene, &command, !format && !scene->shape.compressed);
	if (format) {
		command_add(&command, "-b" BACKING);
		command_add(&command, "-F%s", format);
	}
	command_add(&command, IMAGE);
	command_add(&command, "%llu", (unsigned long long)disk);
	return scene_run(scene, &command, 0);
}

static bool make_converted(struct scene *scene, uint64_t disk)
{
	struct command command = {0};

	sparse_create(MODEL, disk);
	scatter(scene, MODEL, disk);
	command_add(&command, "qemu-img");
	command_add(&command, "convert");
	command_add(&command, "-c");
	command_add(&command, "-fraw");
	command_add(&command, "-Oqcow2");
	add_creation_options(scene, &command, false);
	command_add(&command, MODEL);
	command_add(&command, IMAGE);
	return scene_run(scene, &command, 0);
}

static void add_compressed(struct scene *scene, struct command *command, uint64_t index)
{
	uint64_t cluster = scene_cluster_bytes(scene);
	unsigned int data = scene_data(scene, MODEL, index * cluster, cluster);

	command_add(command, "-cwrite -c -s data-%u %llu %llu", data,
		    (unsigned long long)(index * cluster), (unsigned long long)cluster);
}

static bool is_new_hot(const struct scene *scene, int i)
{
	for (int earlier = 0; earlier < i; earlier++)
		if (scene->hot[earlier] == scene->hot[i])
			return false;
	return true;
}

/* qemu can write a cluster compressed only where there is nothing yet. */
static bool compress_some(struct scene *scene)
{
	uint64_t clusters = sparse_bytes(MODEL) >> scene->shape.cluster_bits;
	uint64_t stride = clusters / rng_between(&scene->rng, 4, scene_few(scene, 16)) + 1;
	struct command command = {0};

	command_add(&command, "qemu-io");
	command_add(&command, "-fqcow2");
	if (scene->huge) {
		for (int i = 0; i < SCENE_HOT; i++)
			if (is_new_hot(scene, i))
				add_compressed(scene, &command, scene->hot[i]);
	} else {
		for (uint64_t i = rng_below(&scene->rng, stride); i < clusters; i += stride)
			add_compressed(scene, &command, i);
	}
	command_add(&command, IMAGE);
	return scene_run(scene, &command, 0);
}

/* qemu applies no snapshot beside a bitmap. */
static bool add_disabled_bitmap(struct scene *scene)
{
	struct command command = {0};

	command_add(&command, "qemu-img");
	command_add(&command, "bitmap");
	command_add(&command, "--add");
	command_add(&command, "--disable");
	command_add(&command, IMAGE);
	command_add(&command, "kept");
	return scene_run(scene, &command, 0);
}

bool scene_make(struct scene *scene)
{
	uint64_t disk = draw_disk_bytes(scene);
	bool convert = scene->shape.compressed && !scene->shape.backing
		       && rng_chance(&scene->rng, 50);

	scene->zero_by_discard = scene->shape.version > 2 || !scene->shape.backing;
	if (!(convert ? make_converted(scene, disk) : make_empty(scene, disk)))
		return false;
	scene_choose_hot(scene);
	if (scene->shape.compressed && !convert && !compress_some(scene))
		return false;
	if (scene->shape.version > 2 && !scene->shape.snapshots && rng_chance(&scene->rng, 15)
	    && !add_disabled_bitmap(scene))
		return false;
	return true;
}
