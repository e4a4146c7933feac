// SPDX-License-Identifier: MIT
#include "crash/referee.h"

#include <inttypes.h>
#include <stdio.h>

#include "crash/program.h"

static bool run(const char *const argv[])
{
	return program_runs(argv, false, NULL);
}

bool referee_checks(const uint8_t *bytes, uint64_t size)
{
	folder_put("referee-a", bytes, size);
	return run((const char *[]){"qemu-img", "check", "-q", "-f", "qcow2",
				    folder_path("referee-a"), NULL});
}

bool referee_compares(const uint8_t *like, uint64_t like_size)
{
	folder_put("referee-b", like, like_size);
	return run((const char *[]){"qemu-img", "compare", "-q", "-s", "-f", "qcow2", "-F", "qcow2",
				    folder_path("referee-a"), folder_path("referee-b"), NULL});
}

bool referee_compares_with_disk(const struct image_bytes *disk)
{
	folder_put("referee-b", disk->bytes, disk->size);
	return run((const char *[]){"qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw",
				    folder_path("referee-a"), folder_path("referee-b"), NULL});
}

bool referee_writes(struct image_bytes *image, uint64_t at, uint64_t length)
{
	char command[80];

	folder_put("referee-a", image->bytes, image->size);
	snprintf(command, sizeof(command), "write -P 0x77 %" PRIu64 " %" PRIu64, at, length);
	/* Quiet, since what it has to say about a failure is not wanted either. */
	if (!program_runs((const char *[]){"qemu-io", "-f", "qcow2", "-c", command,
					   folder_path("referee-a"), NULL},
			  true, NULL))
		return false;
	folder_get("referee-a", image);
	return true;
}
