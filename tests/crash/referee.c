// SPDX-License-Identifier: MIT
#include "crash/referee.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "crash/program.h"

static const char *const names[CRASH_FILES] = {"referee-a", "data"};

/* 0: there is no such file. */
static uint64_t inode_of(const char *name)
{
	struct stat st;

	return stat(folder_path(name), &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void tell_touch(struct sight *sight, unsigned int file, const struct touch *touch)
{
	switch (touch->kind) {
	case TOUCH_READ:
		sight_read(sight, file, touch->offset, touch->length);
		break;
	case TOUCH_WRITE:
		sight_change(sight, file, touch->offset, touch->length);
		break;
	case TOUCH_RESIZE:
		sight_resize(sight, file, touch->length);
		break;
	}
}

/* What else was read, such as a base, is always the same. */
static void tell(struct sight *sight, const struct touches *touches)
{
	for (unsigned int file = 0; file < CRASH_FILES; file++) {
		const uint64_t inode = inode_of(names[file]);

		for (size_t i = 0; inode != 0 && i < touches->count; i++)
			if (touches->list[i].inode == inode)
				tell_touch(sight, file, &touches->list[i]);
	}
}

static bool run(const char *const argv[], bool quiet, struct sight *sight)
{
	struct touches touches;
	bool ok = program_runs(argv, quiet, &touches);

	if (sight)
		tell(sight, &touches);
	return ok;
}

bool referee_checks(const uint8_t *bytes, uint64_t size, struct sight *sight)
{
	folder_put("referee-a", bytes, size);
	return run((const char *[]){"qemu-img", "check", "-q", "-f", "qcow2",
				    folder_path("referee-a"), NULL},
		   false, sight);
}

bool referee_compares(const uint8_t *bytes, uint64_t size, const uint8_t *like, uint64_t like_size)
{
	folder_put("referee-a", bytes, size);
	folder_put("referee-b", like, like_size);
	return run((const char *[]){"qemu-img", "compare", "-q", "-s", "-f", "qcow2", "-F", "qcow2",
				    folder_path("referee-a"), folder_path("referee-b"), NULL},
		   false, NULL);
}

bool referee_compares_with_disk(const struct image_bytes *image, const struct image_bytes *disk)
{
	folder_put("referee-a", image->bytes, image->size);
	folder_put("referee-b", disk->bytes, disk->size);
	return run((const char *[]){"qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw",
				    folder_path("referee-a"), folder_path("referee-b"), NULL},
		   false, NULL);
}

bool referee_writes(struct image_bytes *image, uint64_t at, uint64_t length, struct sight *sight)
{
	char command[80];

	folder_put("referee-a", image->bytes, image->size);
	snprintf(command, sizeof(command), "write -P 0x77 %" PRIu64 " %" PRIu64, at, length);
	/* Quiet, since what it has to say about a failure is not wanted either. */
	if (!run((const char *[]){"qemu-io", "-f", "qcow2", "-c", command, folder_path("referee-a"),
				  NULL},
		 true, sight))
		return false;
	folder_get("referee-a", image);
	return true;
}
