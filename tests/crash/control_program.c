// SPDX-License-Identifier: MIT
/*
 * Programs that are forked for each run against the same ones started afresh: they must say and do
 * the same, and what is said of their reads and writes must be all of them.
 */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/control.h"
#include "crash/folder.h"
#include "crash/must.h"
#include "crash/program.h"
#include "support/image_builder.h"

#define NAME "control"
#define DATA_CLUSTER 3

static int run_afresh(const char *const argv[])
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	must(posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ)
	     == 0);
	posix_spawn_file_actions_destroy(&actions);
	must(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static uint64_t free_cluster(const struct builder *b)
{
	uint64_t cluster = 1;

	while (builder_refcount(b, cluster) != 0)
		cluster++;
	return cluster;
}

/* An image whose counts are right, or not for a cluster with data, or not for one that is free. */
enum counts {
	COUNTS_RIGHT,
	COUNTS_LOW,
	COUNTS_HIGH,
};

static void build_image(enum counts counts, struct image_bytes *ret)
{
	struct builder *b = builder_new(NULL);
	uint8_t data[1 << 16];
	uint8_t *bytes;
	size_t size;

	memset(data, 0x11, sizeof(data));
	builder_skip_clusters(b, 1);
	builder_data(b, DATA_CLUSTER, data);
	builder_finish(b, &bytes, &size);
	if (counts == COUNTS_LOW)
		builder_poke_refcount(b, builder_host_of(b, DATA_CLUSTER) / sizeof(data), 0);
	else if (counts == COUNTS_HIGH)
		builder_poke_refcount(b, free_cluster(b), 1);
	image_bytes_copy(ret, bytes, size);
	builder_free(b);
}

static uint64_t inode_of(const char *path)
{
	struct stat st;

	must(stat(path, &st) == 0);
	return st.st_ino;
}

/* Marks the bytes of the file that were touched in that way; how many touches there were. */
static size_t mark(const struct touches *touches, enum touch_kind kind, uint8_t *marks,
		   uint64_t size)
{
	uint64_t inode = inode_of(folder_path(NAME));
	size_t count = 0;

	memset(marks, 0, (size_t)size);
	for (size_t i = 0; i < touches->count; i++) {
		const struct touch *t = &touches->list[i];

		if (t->kind != kind || t->inode != inode)
			continue;
		count++;
		for (uint64_t at = t->offset; at < size && at - t->offset < t->length; at++)
			marks[at] = 1;
	}
	return count;
}

static bool report(bool ok, const char *what)
{
	printf("%s control: %s\n", ok ? "ok" : "not ok", what);
	return ok;
}

/* --- reading --- */

static int check(struct touches *ret)
{
	return program_status((const char *[]){"qemu-img", "check", "-q", "-f", "qcow2",
					       folder_path(NAME), NULL},
			      true, ret);
}

static int check_afresh(void)
{
	return run_afresh((const char *[]){"qemu-img", "check", "-q", "-f", "qcow2",
					   folder_path(NAME), NULL});
}

/* With other bytes in all places that were not read, the image is the same one to the program. */
static bool reads_are_told(struct image_bytes *image, int expected)
{
	uint8_t *marks = malloc((size_t)image->size);
	uint64_t unread = 0;
	struct touches touches;
	bool ok;

	must(marks);
	ok = check(&touches) == expected && mark(&touches, TOUCH_READ, marks, image->size) > 0
	     && mark(&touches, TOUCH_WRITE, marks, image->size) == 0;
	mark(&touches, TOUCH_READ, marks, image->size);
	for (uint64_t i = 0; i < image->size; i++)
		if (!marks[i]) {
			image->bytes[i] ^= 0xff;
			unread++;
		}
	ok = ok && marks[0] && unread > 0 && unread < image->size;
	folder_put(NAME, image->bytes, image->size);
	free(marks);
	return ok && check_afresh() == expected;
}

static bool one_check(const char *what, enum counts counts, int expected)
{
	struct image_bytes image;
	bool ok;

	build_image(counts, &image);
	folder_put(NAME, image.bytes, image.size);
	ok = check_afresh() == expected && check(NULL) == expected
	     && reads_are_told(&image, expected);
	image_bytes_clear(&image);
	return report(ok, what);
}

static bool missing_file(void)
{
	struct touches touches;
	bool ok;

	unlink(folder_path(NAME));
	ok = check_afresh() == 1 && check(&touches) == 1 && touches.count == 0;
	return report(ok, "a forked qemu-img, and no image");
}

/* --- writing --- */

/* Some of the data and what is behind it, so that clusters are added, and a part filled up. */
#define WRITE_COMMAND "write -P 0x77 200000 200000"

static const char *const *write_arguments(void)
{
	static const char *argv[] = {"qemu-io", "-f", "qcow2", "-c", WRITE_COMMAND, NULL, NULL};

	argv[5] = folder_path(NAME);
	return argv;
}

static uint64_t told_size(const struct touches *touches, uint64_t size)
{
	for (size_t i = 0; i < touches->count; i++) {
		const struct touch *t = &touches->list[i];

		if (t->kind == TOUCH_RESIZE)
			size = t->length;
		else if (t->kind == TOUCH_WRITE && t->offset + t->length > size)
			size = t->offset + t->length;
	}
	return size;
}

/* All that is different was told; and that is not all of the file. */
static bool writes_are_told(const struct image_bytes *before, const struct image_bytes *after,
			    const struct touches *touches)
{
	uint8_t *marks = malloc((size_t)after->size);
	uint64_t untouched = 0;
	bool ok;

	must(marks);
	ok = mark(touches, TOUCH_WRITE, marks, after->size) > 0
	     && told_size(touches, before->size) == after->size;
	for (uint64_t i = 0; ok && i < after->size; i++) {
		ok = marks[i] || after->bytes[i] == (i < before->size ? before->bytes[i] : 0);
		untouched += !marks[i];
	}
	free(marks);
	return ok && untouched > 0;
}

static bool write_is_same(void)
{
	struct image_bytes before, afresh = {0}, after = {0};
	struct touches touches;
	bool ok;

	build_image(COUNTS_RIGHT, &before);
	folder_put(NAME, before.bytes, before.size);
	ok = run_afresh(write_arguments()) == 0;
	folder_get(NAME, &afresh);
	folder_put(NAME, before.bytes, before.size);
	ok = ok && program_status(write_arguments(), true, &touches) == 0;
	folder_get(NAME, &after);
	ok = ok && after.size > before.size && after.size == afresh.size
	     && memcmp(after.bytes, afresh.bytes, (size_t)after.size) == 0
	     && memcmp(after.bytes, before.bytes, (size_t)before.size) != 0
	     && writes_are_told(&before, &after, &touches);
	image_bytes_clear(&before);
	image_bytes_clear(&afresh);
	image_bytes_clear(&after);
	return report(ok, "a forked qemu-io that writes");
}

/* --- processes --- */

/* What another process lets the program do is not told to this one. */
static bool processes_are_apart(void)
{
	struct image_bytes image;
	struct touches touches;
	uint8_t *marks;
	size_t reads;
	int status;
	pid_t pid;
	bool ok;

	build_image(COUNTS_RIGHT, &image);
	folder_put(NAME, image.bytes, image.size);
	marks = malloc((size_t)image.size);
	must(marks && check(&touches) == 0);
	reads = mark(&touches, TOUCH_READ, marks, image.size);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		image_bytes_clear(&image);
		build_image(COUNTS_LOW, &image);
		folder_put(NAME, image.bytes,
			   image.size); /* in a folder of its own, which goes with it */
		exit(check(NULL) == 2 ? 0 : 1);
	}
	must(waitpid(pid, &status, 0) == pid);
	ok = status == 0 && reads > 0 && mark(&touches, TOUCH_READ, marks, image.size) == reads
	     && check(NULL) == 0;
	free(marks);
	image_bytes_clear(&image);
	return report(ok, "a forked qemu-img for each process");
}

void control_programs(unsigned int *passed, unsigned int *failed)
{
	const bool results[] = {
		one_check("a forked qemu-img, and a sound image", COUNTS_RIGHT, 0),
		one_check("a forked qemu-img, and an image that leaks", COUNTS_HIGH, 3),
		one_check("a forked qemu-img, and a corrupt image", COUNTS_LOW, 2),
		missing_file(),
		write_is_same(),
		processes_are_apart(),
	};

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		*(results[i] ? passed : failed) += 1;
}
