// SPDX-License-Identifier: MIT
/*
 * To be preloaded into a program: stops it before its first instruction, when all its libraries are
 * loaded, and forks a run of it for each request that comes (crash/preloaded.h). What a run does to
 * regular files goes into the log. Without PRELOADED_FDS this does nothing.
 *
 * What must stay true
 * 1. There is one thread and no output yet when a run is forked off: it is like a fresh start.
 * 2. Nothing that a run does to a file is missed: the calls are those that QEMU's programs import.
 *    Asynchronous I/O is refused, as by a kernel that has none; a file in memory is reported.
 */
/* The C library's header would put other names in place of those that are defined here. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "crash/preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef FALLOC_FL_ZERO_RANGE /* musl's header does not know it */
#define FALLOC_FL_ZERO_RANGE 0x10
#endif

#define RUN_SECONDS_MAX 120

/* The function that would be called without this object. */
#define NEXT(function)                                                                             \
	({                                                                                         \
		static void *_Atomic found;                                                        \
		if (!found)                                                                        \
			found = dlsym(RTLD_NEXT, #function);                                       \
		(__typeof__(&function))found;                                                      \
	})

static struct touch_log *touch_log; /* NULL: nobody asks */

/* --- what is done to files --- */

static bool is_regular(int fd, struct stat64 *ret_st)
{
	return touch_log && fd >= 0 && fstat64(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode);
}

static void note(enum touch_kind kind, int fd, uint64_t offset, uint64_t length)
{
	struct stat64 st;
	size_t number;

	if (!is_regular(fd, &st))
		return;
	number = atomic_fetch_add(&touch_log->count, 1);
	if (number < TOUCHES_MAX)
		touch_log->list[number] = (struct touch){kind, st.st_ino, offset, length};
}

static void note_miss(int fd)
{
	struct stat64 st;

	if (is_regular(fd, &st))
		atomic_store(&touch_log->has_missed, true);
}

/* For calls that begin where the last one ended. */
static void note_here(enum touch_kind kind, int fd, uint64_t length)
{
	struct stat64 st;

	if (is_regular(fd, &st))
		note(kind, fd, (uint64_t)lseek64(fd, 0, SEEK_CUR), length);
}

static uint64_t bytes_of(const struct iovec *parts, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += parts[i].iov_len;
	return bytes;
}

ssize_t pread64(int fd, void *to, size_t length, off64_t offset)
{
	note(TOUCH_READ, fd, (uint64_t)offset, length);
	return NEXT(pread64)(fd, to, length, offset);
}

ssize_t preadv64(int fd, const struct iovec *to, int count, off64_t offset)
{
	note(TOUCH_READ, fd, (uint64_t)offset, bytes_of(to, count));
	return NEXT(preadv64)(fd, to, count, offset);
}

ssize_t read(int fd, void *to, size_t length)
{
	note_here(TOUCH_READ, fd, length);
	return NEXT(read)(fd, to, length);
}

ssize_t readv(int fd, const struct iovec *to, int count)
{
	note_here(TOUCH_READ, fd, bytes_of(to, count));
	return NEXT(readv)(fd, to, count);
}

ssize_t pwrite64(int fd, const void *from, size_t length, off64_t offset)
{
	note(TOUCH_WRITE, fd, (uint64_t)offset, length);
	return NEXT(pwrite64)(fd, from, length, offset);
}

ssize_t pwritev64(int fd, const struct iovec *from, int count, off64_t offset)
{
	note(TOUCH_WRITE, fd, (uint64_t)offset, bytes_of(from, count));
	return NEXT(pwritev64)(fd, from, count, offset);
}

ssize_t write(int fd, const void *from, size_t length)
{
	note_here(TOUCH_WRITE, fd, length);
	return NEXT(write)(fd, from, length);
}

ssize_t writev(int fd, const struct iovec *from, int count)
{
	note_here(TOUCH_WRITE, fd, bytes_of(from, count));
	return NEXT(writev)(fd, from, count);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t length,
			unsigned int flags)
{
	if (in_at)
		note(TOUCH_READ, in, (uint64_t)*in_at, length);
	else
		note_here(TOUCH_READ, in, length);
	if (out_at)
		note(TOUCH_WRITE, out, (uint64_t)*out_at, length);
	else
		note_here(TOUCH_WRITE, out, length);
	return NEXT(copy_file_range)(in, in_at, out, out_at, length, flags);
}

int ftruncate64(int fd, off64_t size)
{
	int result = NEXT(ftruncate64)(fd, size);

	if (result == 0)
		note(TOUCH_RESIZE, fd, 0, (uint64_t)size);
	return result;
}

static off64_t size_of(int fd)
{
	struct stat64 st;

	return is_regular(fd, &st) ? st.st_size : 0;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	const int zeroing = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	off64_t before = size_of(fd);
	int result = NEXT(fallocate64)(fd, mode, offset, length);

	if (result != 0)
		return result;
	if (size_of(fd) != before)
		note(TOUCH_RESIZE, fd, 0, (uint64_t)size_of(fd));
	if (mode & zeroing)
		note(TOUCH_WRITE, fd, (uint64_t)offset, (uint64_t)length);
	if (mode & ~(zeroing | FALLOC_FL_KEEP_SIZE))
		note_miss(fd);
	return result;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	off64_t before = size_of(fd);
	int result = NEXT(posix_fallocate64)(fd, offset, length);

	if (size_of(fd) != before)
		note(TOUCH_RESIZE, fd, 0, (uint64_t)size_of(fd));
	return result;
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
	note_miss(fd);
	return NEXT(mmap64)(at, length, protection, flags, fd, offset);
}

/* Of liburing and libaio, whose headers need not be there. */
int io_uring_queue_init(unsigned int entries, void *ring, unsigned int flags);
int io_setup(int events, void *ret_context);

int io_uring_queue_init(unsigned int entries, void *ring, unsigned int flags)
{
	return touch_log ? -ENOSYS : NEXT(io_uring_queue_init)(entries, ring, flags);
}

int io_setup(int events, void *ret_context)
{
	return touch_log ? -ENOSYS : NEXT(io_setup)(events, ret_context);
}

/* --- runs --- */

struct request {
	char bytes[REQUEST_BYTES];
	size_t length;
};

static void must_be(bool condition, const char *what)
{
	if (condition)
		return;
	dprintf(STDERR_FILENO, "%s: not so: %s\n", __FILE__, what);
	_exit(EXIT_FAILURE);
}

/* The one thread of the process becomes nobody's child, so that who asks has none to wait for. */
static void leave_parent(void)
{
	pid_t pid = fork();

	must_be(pid >= 0, "a process can be forked");
	if (pid > 0)
		_exit(EXIT_SUCCESS);
}

/* The descriptor of the socket; less than 0: nobody wants runs. */
static int meet_client(void)
{
	const char *fds = getenv(PRELOADED_FDS);
	int socket_fd, log_fd;

	if (!fds)
		return -1;
	must_be(sscanf(fds, "%d,%d", &socket_fd, &log_fd) == 2, "there are two descriptors");
	touch_log = NEXT(mmap64)(NULL, sizeof(*touch_log), PROT_READ | PROT_WRITE, MAP_SHARED,
				 log_fd, 0);
	must_be(touch_log != MAP_FAILED, "the log can be mapped");
	close(log_fd);
	unsetenv(PRELOADED_FDS);
	unsetenv("LD_PRELOAD");
	unsetenv("LD_BIND_NOW");
	leave_parent();
	return socket_fd;
}

/* Returns in the process of each run; in the server, ends with the client. */
static void serve(int socket_fd, struct request *ret)
{
	ssize_t length;
	int status;
	pid_t pid;

	while ((length = recv(socket_fd, ret->bytes, sizeof(ret->bytes), 0)) > 0) {
		ret->length = (size_t)length;
		atomic_store(&touch_log->count, 0);
		pid = fork();
		if (pid == 0)
			return;
		must_be(pid > 0 && waitpid(pid, &status, 0) == pid, "the run has an end");
		must_be(send(socket_fd, &status, sizeof(status), MSG_NOSIGNAL) > 0,
			"the client listens");
	}
	_exit(EXIT_SUCCESS);
}

static void direct_output(bool is_quiet)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	must_be(null_fd >= 0 && dup2(null_fd, 0) == 0 && dup2(null_fd, 1) == 1
			&& (!is_quiet || dup2(null_fd, 2) == 2),
		"the output can go nowhere");
	close(null_fd);
}

/* The arguments with the environment behind them, as a new program finds them. */
static char **lay_out(struct request *request, int *ret_argc)
{
	size_t environment = 0, argc = 0;
	char **argv;

	while (environ[environment])
		environment++;
	argv = calloc(REQUEST_ARGS_MAX + 1 + environment + 1, sizeof(*argv));
	must_be(argv, "there is memory for the arguments");
	for (size_t at = 1; at < request->length; at += strlen(request->bytes + at) + 1) {
		must_be(argc < REQUEST_ARGS_MAX, "the arguments are few");
		argv[argc++] = request->bytes + at;
	}
	memcpy(argv + argc + 1, environ, environment * sizeof(*argv));
	*ret_argc = (int)argc;
	return argv;
}

typedef int main_function(int argc, char **argv, char **environment);
int __libc_start_main(main_function *main, int argc, char **argv, main_function *init,
		      void (*fini)(void), void (*loader_fini)(void), void *stack_end);

int __libc_start_main(main_function *main, int argc, char **argv, main_function *init,
		      void (*fini)(void), void (*loader_fini)(void), void *stack_end)
{
	static struct request request;
	int socket_fd = meet_client();

	if (socket_fd >= 0) {
		serve(socket_fd, &request);
		close(socket_fd);
		alarm(RUN_SECONDS_MAX); /* one that hangs is one that failed */
		direct_output(request.bytes[0] != 0);
		argv = lay_out(&request, &argc);
	}
	return NEXT(__libc_start_main)(main, argc, argv, init, fini, loader_fini, stack_end);
}
