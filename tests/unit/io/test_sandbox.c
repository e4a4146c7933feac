// SPDX-License-Identifier: MIT
/* Canaries: what must fail after the lock-down, and what must go on working. Each in its own process. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/sandbox.h"

/* What `canary` returns, in a process that is locked down. */
static int in_sandbox(int (*canary)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		qc_sandbox_limit();
		qc_sandbox_lock(NULL, NULL);
		_exit(canary());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_open(void)
{
	return open("/dev/null", O_RDONLY) < 0 ? 0 : 1;
}

static int try_create(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR, 0600) < 0 ? 0 : 1;
}

static int try_folder(void)
{
	return mkdir("qcow-canary", 0700) < 0 ? 0 : 1;
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 && socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? 0 : 1;
}

static int try_exec(void)
{
	execl("/bin/false", "false", (char *)NULL);
	return 42; /* the other program would say 1 */
}

static int try_fork(void)
{
#ifdef __s390__
	pid_t child = (pid_t)syscall(SYS_clone, NULL, 17 /* SIGCHLD */, NULL, NULL, NULL);
#else
	pid_t child = (pid_t)syscall(SYS_clone, 17 /* SIGCHLD */, NULL, NULL, NULL, NULL);
#endif

	if (child == 0)
		_exit(0);
	return child < 0 ? 0 : 1;
}

static int try_unknown_call(void)
{
	return syscall(100000) < 0 && errno == ENOSYS ? 0 : 1;
}

static int open_fd;

static void *read_in_thread(void *context)
{
	char byte = 0;

	*(int *)context = pread(open_fd, &byte, 1, 0) == 1 && byte == 'q';
	return NULL;
}

static int try_honest_work(void)
{
	pthread_t thread;
	int done = 0;
	void *memory = malloc(16 << 20);

	if (!memory || pthread_create(&thread, NULL, read_in_thread, &done) != 0)
		return 1;
	free(memory);
	return pthread_join(thread, NULL) == 0 && done ? 0 : 2;
}

static void no_path_can_be_opened(void **state)
{
	(void)state;
	if ((qc_sandbox_offers() & (QC_SANDBOX_LANDLOCK | QC_SANDBOX_SECCOMP)) == 0)
		skip();
	assert_int_equal(in_sandbox(try_open), 0);
	assert_int_equal(in_sandbox(try_create), 0);
	assert_int_equal(in_sandbox(try_folder), 0);
}

static void no_socket_can_be_opened(void **state)
{
	(void)state;
	if ((qc_sandbox_offers() & QC_SANDBOX_SECCOMP) == 0)
		skip();
	assert_int_equal(in_sandbox(try_socket), 0);
}

static void no_program_can_be_run(void **state)
{
	(void)state;
	if ((qc_sandbox_offers() & (QC_SANDBOX_LANDLOCK | QC_SANDBOX_SECCOMP)) == 0)
		skip();
	assert_int_equal(in_sandbox(try_exec), 42);
}

static void no_process_can_be_made(void **state)
{
	(void)state;
	if ((qc_sandbox_offers() & QC_SANDBOX_SECCOMP) == 0)
		skip();
	assert_int_equal(in_sandbox(try_fork), 0);
}

static void an_unknown_call_fails_and_does_not_kill(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(try_unknown_call), 0);
}

static void open_files_memory_and_threads_go_on_working(void **state)
{
	(void)state;
	open_fd = memfd_create("open", MFD_CLOEXEC);
	assert_int_equal(write(open_fd, "q", 1), 1);
	assert_int_equal(in_sandbox(try_honest_work), 0);
	close(open_fd);
}

static void no_core_file_is_written(void **state)
{
	struct rlimit limit;
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		qc_sandbox_limit();
		_exit(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_path_can_be_opened),
		cmocka_unit_test(no_socket_can_be_opened),
		cmocka_unit_test(no_program_can_be_run),
		cmocka_unit_test(no_process_can_be_made),
		cmocka_unit_test(an_unknown_call_fails_and_does_not_kill),
		cmocka_unit_test(open_files_memory_and_threads_go_on_working),
		cmocka_unit_test(no_core_file_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
