// SPDX-License-Identifier: MIT
#include "crash/referee.h"

#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <sys/wait.h>

#include "crash/must.h"

extern char **environ;

static bool run_with(const char *const argv[], bool may_fail)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (may_fail) /* what it has to say about that, too */
		posix_spawn_file_actions_adddup2(&actions, 1, 2);
	must(posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ)
	     == 0);
	posix_spawn_file_actions_destroy(&actions);
	must(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run(const char *const argv[])
{
	return run_with(argv, false);
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
	if (!run_with((const char *[]){"qemu-io", "-f", "qcow2", "-c", command,
				       folder_path("referee-a"), NULL},
		      true))
		return false;
	folder_get("referee-a", image);
	return true;
}
