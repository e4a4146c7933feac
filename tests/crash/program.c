// SPDX-License-Identifier: MIT
#include "crash/program.h"

#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/must.h"
#include "crash/preloaded.h"

#define PROGRAMS_MAX 4

/* A program that waits to be run. It ends with this process, since the socket does. */
struct server {
	char name[16];
	pid_t owner;
	int socket_fd;
	struct touch_log *log;
};

/* The descriptors that the program is to inherit are closed here. */
static void load(const char *name, int socket_fd, int log_fd)
{
	char fds[64];
	/* Were it not for what is preloaded, the program would print its version and end. */
	const char *const argv[] = {
		"env", "LD_PRELOAD=" PRELOADED, "LD_BIND_NOW=1", fds, name, "--version", NULL};
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	snprintf(fds, sizeof(fds), PRELOADED_FDS "=%d,%d", socket_fd, log_fd);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket_fd, socket_fd);
	posix_spawn_file_actions_adddup2(&actions, log_fd, log_fd);
	must(posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ)
	     == 0);
	posix_spawn_file_actions_destroy(&actions);
	close(socket_fd);
	close(log_fd);
	must(waitpid(pid, &status, 0) == pid && status == 0);
}

static void start(struct server *s, const char *name)
{
	int fds[2], log_fd = memfd_create("touches", MFD_CLOEXEC);

	must(log_fd >= 0 && ftruncate(log_fd, sizeof(*s->log)) == 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	must(strlen(name) < sizeof(s->name));
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->owner = getpid();
	s->socket_fd = fds[0];
	s->log = mmap(NULL, sizeof(*s->log), PROT_READ, MAP_SHARED, log_fd, 0);
	must(s->log != MAP_FAILED);
	load(name, fds[1], log_fd);
}

/* What a parent started is the parent's. */
static void forget(struct server *s)
{
	close(s->socket_fd);
	munmap(s->log, sizeof(*s->log));
	*s = (struct server){0};
}

static struct server *server_of(const char *name)
{
	static struct server servers[PROGRAMS_MAX];

	for (size_t i = 0;; i++) {
		struct server *s = &servers[i];

		must(i < PROGRAMS_MAX);
		if (s->owner != 0 && s->owner != getpid())
			forget(s);
		if (s->owner == 0)
			start(s, name);
		if (strcmp(s->name, name) == 0)
			return s;
	}
}

static size_t put_request(char *to, const char *const argv[], bool quiet)
{
	size_t at = 0;

	to[at++] = quiet;
	for (size_t i = 0; argv[i]; i++) {
		size_t bytes = strlen(argv[i]) + 1;

		must(i < REQUEST_ARGS_MAX && bytes <= REQUEST_BYTES - at);
		memcpy(to + at, argv[i], bytes);
		at += bytes;
	}
	return at;
}

int program_status(const char *const argv[], bool quiet, struct touches *ret_touches)
{
	struct server *s = server_of(argv[0]);
	char request[REQUEST_BYTES];
	size_t length = put_request(request, argv, quiet), count;
	int status;

	must(send(s->socket_fd, request, length, MSG_NOSIGNAL) == (ssize_t)length);
	must(recv(s->socket_fd, &status, sizeof(status), 0) == sizeof(status));
	count = atomic_load(&s->log->count);
	must(count <= TOUCHES_MAX && !atomic_load(&s->log->has_missed));
	if (ret_touches)
		*ret_touches = (struct touches){s->log->list, count};
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool program_runs(const char *const argv[], bool quiet, struct touches *ret_touches)
{
	return program_status(argv, quiet, ret_touches) == 0;
}
