// SPDX-License-Identifier: MIT
/*
 * measure COMMAND...: runs it with stdout thrown away, and prints how many microseconds it took and
 * how many KiB it held at most. Exit status 1 if it did not end with 0.
 *
 * The peak is what wait4 says, from the start of the process on: it can be no lower than what this
 * program held, which is why this program is small and allocates nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int spawn(char **command, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error != 0)
		return error;
	error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (error == 0)
		error = posix_spawnp(ret, command[0], &actions, NULL, command, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static int complain(const char *command, const char *reason)
{
	fprintf(stderr, "measure: %s: %s\n", command, reason);
	return 1;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int64_t begin, end;
	int error, status;
	pid_t process;

	if (argc < 2) {
		fprintf(stderr, "usage: measure COMMAND...\n");
		return 64;
	}
	begin = now_us();
	error = spawn(argv + 1, &process);
	if (error != 0)
		return complain(argv[1], strerror(error));
	while (wait4(process, &status, 0, &usage) < 0)
		if (errno != EINTR)
			return complain(argv[1], strerror(errno));
	end = now_us();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return complain(argv[1], "did not end with 0");
	printf("%" PRId64 " %ld\n", end - begin, usage.ru_maxrss);
	return 0;
}
