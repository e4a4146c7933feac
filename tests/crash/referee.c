// SPDX-License-Identifier: MIT
#include "crash/referee.h"

#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/must.h"

extern char **environ;

static void make_file(char *path, const uint8_t *bytes, uint64_t size)
{
	int fd = mkostemp(path, O_CLOEXEC);

	must(fd >= 0);
	for (uint64_t done = 0; done < size;) {
		ssize_t now = write(fd, bytes + done, (size_t)(size - done));

		must(now > 0);
		done += (uint64_t)now;
	}
	close(fd);
}

static bool run(const char *const argv[])
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	must(posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ)
	     == 0);
	posix_spawn_file_actions_destroy(&actions);
	must(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool referee_agrees(const uint8_t *bytes, uint64_t size, const uint8_t *like, uint64_t like_size)
{
	char a[] = P_tmpdir "/crash-a.XXXXXX", b[] = P_tmpdir "/crash-b.XXXXXX";
	bool ok;

	make_file(a, bytes, size);
	make_file(b, like, like_size);
	ok = run((const char *[]){"qemu-img", "check", "-q", "-f", "qcow2", a, NULL})
	     && run((const char *[]){"qemu-img", "compare", "-q", "-s", "-f", "qcow2", "-F",
				     "qcow2", a, b, NULL});
	unlink(a);
	unlink(b);
	return ok;
}

static void load_file(const char *path, struct image_bytes *image)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size;

	must(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	must(size > 0);
	free(image->bytes);
	image->bytes = malloc((size_t)size);
	must(image->bytes);
	image->size = (uint64_t)size;
	must(pread(fd, image->bytes, (size_t)size, 0) == (ssize_t)size);
	close(fd);
}

bool referee_writes(struct image_bytes *image, uint64_t at, uint64_t length)
{
	char path[] = P_tmpdir "/crash-w.XXXXXX";
	char command[80];
	bool ok;

	make_file(path, image->bytes, image->size);
	snprintf(command, sizeof(command), "write -P 0x77 %" PRIu64 " %" PRIu64, at, length);
	ok = run((const char *[]){"qemu-io", "-f", "qcow2", "-c", command, path, NULL});
	if (ok)
		load_file(path, image);
	unlink(path);
	return ok;
}
