// SPDX-License-Identifier: MIT
#include "outside/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/must.h"
#include "outside/trace_regs.h"

#define THREADS_MAX 256
#define SECONDS_MAX 120 /* a program that hangs is ended by a signal and so fails its test */
#define NOT_STARTED 127
#define MAKING ((uint64_t)(O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY)))

struct tracer {
	struct trace_run *run;
	pid_t root;
	bool killed;
	struct trace_call call; /* the one under way, if `busy` */
	bool busy;
	pid_t waiting[THREADS_MAX]; /* those that stand before a call, in order */
	size_t waiting_count;
};

/* --- starting --- */

static void become(const struct trace_run *run, int go_fd, int tell_fd, int words_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), error;
	char go;

	if (read(go_fd, &go, 1) != 1)
		_exit(NOT_STARTED);
	if (chdir(run->folder) < 0 || dup2(null_fd, 0) < 0 || dup2(words_fd, 1) < 0
	    || dup2(words_fd, 2) < 0)
		_exit(NOT_STARTED);
	alarm(SECONDS_MAX);
	error = trace_calls_filter();
	if (error == 0) {
		execvp(run->argv[0], (char *const *)(uintptr_t)run->argv);
		error = errno;
	}
	if (write(tell_fd, &error, sizeof(error)) < 0) {
		/* the status will do */
	}
	_exit(NOT_STARTED);
}

static bool seize(pid_t pid)
{
	const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK
				  | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP
				  | PTRACE_O_EXITKILL;

	return ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) == 0;
}

/* --- the calls --- */

static void resume(pid_t thread, enum __ptrace_request how, int signal)
{
	/* A thread that was killed meanwhile reports its end by and by. */
	(void)ptrace(how, thread, NULL, (void *)(uintptr_t)signal);
}

static void kill_all(struct tracer *t)
{
	t->killed = true;
	kill(t->root, SIGKILL);
}

/* Where the program's file lies; false: it is neither the folder nor below it. */
static bool find_path(const struct tracer *t, struct trace_call *call)
{
	size_t length = strlen(t->run->folder);
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)call->thread, call->fd);
	n = readlink(link, call->path, sizeof(call->path) - 1);
	call->path[n < 0 ? 0 : n] = '\0';
	return strncmp(call->path, t->run->folder, length) == 0
	       && (call->path[length] == '/' || call->path[length] == '\0');
}

static bool is_watched(const struct tracer *t, struct trace_call *call)
{
	const struct trace_what *what = call->what;

	if (what->kind == TRACE_OPEN)
		return (call->args[what->value_arg] & MAKING) != 0;
	if (what->fd_arg < 0)
		return true;
	if (what->kind == TRACE_MAP
	    && (!(call->args[what->value_arg] & MAP_SHARED) || !(call->args[2] & PROT_WRITE)))
		return false;
	call->fd = (int)call->args[what->fd_arg];
	return find_path(t, call);
}

static bool load_call(pid_t thread, struct trace_call *call)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof(info), &info) <= 0)
		return false;
	must(info.op == PTRACE_SYSCALL_INFO_SECCOMP && info.seccomp.ret_data < trace_call_count);
	*call = (struct trace_call){
		.what = &trace_calls[info.seccomp.ret_data],
		.thread = thread,
		.fd = -1,
	};
	for (int i = 0; i < 6; i++)
		call->args[i] = info.seccomp.args[i];
	return true;
}

/* A thread stands before a call of the list. */
static void before_call(struct tracer *t, pid_t thread)
{
	struct trace_call *call = &t->call;
	enum trace_answer answer;

	if (t->busy) {
		must(t->waiting_count < THREADS_MAX);
		t->waiting[t->waiting_count++] = thread;
		return;
	}
	if (!load_call(thread, call) || !is_watched(t, call) || t->killed) {
		resume(thread, PTRACE_CONT, 0);
		return;
	}
	call->index = t->run->calls++;
	answer = t->run->before(t->run->context, call);
	if (answer == TRACE_KILL) {
		kill_all(t);
	} else if (answer == TRACE_FAIL) {
		must(trace_regs_fail(thread, call->errnum));
		resume(thread, PTRACE_CONT, 0);
	} else {
		if (answer == TRACE_CUT)
			must(trace_regs_argument(thread, call->what->bytes_arg, call->bytes));
		t->busy = true;
		resume(thread, PTRACE_SYSCALL, 0);
	}
}

static void next_waiting(struct tracer *t)
{
	while (!t->busy && t->waiting_count > 0) {
		pid_t thread = t->waiting[0];

		memmove(t->waiting, t->waiting + 1, --t->waiting_count * sizeof(pid_t));
		before_call(t, thread);
	}
}

static void after_call(struct tracer *t, pid_t thread)
{
	struct __ptrace_syscall_info info;

	must(t->busy && t->call.thread == thread);
	t->busy = false;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof(info), &info) > 0) {
		must(info.op == PTRACE_SYSCALL_INFO_EXIT);
		t->call.result = info.exit.rval;
		if (!t->killed && t->run->after(t->run->context, &t->call) == TRACE_KILL)
			kill_all(t);
	}
	resume(thread, PTRACE_CONT, 0);
	next_waiting(t);
}

static void ended(struct tracer *t, pid_t thread, int status)
{
	if (thread == t->root)
		t->run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	for (size_t i = 0; i < t->waiting_count; i++)
		if (t->waiting[i] == thread)
			memmove(t->waiting + i, t->waiting + i + 1,
				(--t->waiting_count - i) * sizeof(pid_t));
	if (t->busy && t->call.thread == thread) {
		t->busy = false;
		next_waiting(t);
	}
}

static void watch(struct tracer *t)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (pid < 0)
			continue;
		if (!WIFSTOPPED(status))
			ended(t, pid, status);
		else if (status >> 16 == PTRACE_EVENT_SECCOMP)
			before_call(t, pid);
		else if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			after_call(t, pid);
		else /* an event, or a signal on its way to the program */
			resume(pid, PTRACE_CONT, status >> 16 ? 0 : WSTOPSIG(status));
	}
}

/* --- the program --- */

static void load_words(struct trace_run *run, int words_fd)
{
	ssize_t n = pread(words_fd, run->words, sizeof(run->words) - 1, 0);

	run->words[n < 0 ? 0 : n] = '\0';
}

static const char *refuse(const char *what, int error)
{
	static char why[128];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(error));
	return why;
}

/* NULL, or why nothing ran. */
static const char *try_program(struct trace_run *run)
{
	struct tracer t = {.run = run};
	int go[2], tell[2], error = 0;
	const char *why = NULL;
	int words_fd = memfd_create("words", MFD_CLOEXEC);

	must(words_fd >= 0 && pipe2(go, O_CLOEXEC) == 0 && pipe2(tell, O_CLOEXEC) == 0);
	fflush(NULL);
	run->calls = 0;
	run->status = NOT_STARTED;
	t.root = fork();
	must(t.root >= 0);
	if (t.root == 0)
		become(run, go[0], tell[1], words_fd);
	close(go[0]);
	close(tell[1]);
	if (!seize(t.root)) {
		why = refuse("ptrace", errno);
		kill(t.root, SIGKILL);
	} else {
		must(write(go[1], "", 1) == 1);
	}
	close(go[1]);
	watch(&t);
	if (!why && read(tell[0], &error, sizeof(error)) == sizeof(error))
		why = refuse("seccomp or exec", error);
	load_words(run, words_fd);
	close(tell[0]);
	close(words_fd);
	return why;
}

bool trace_program(struct trace_run *run)
{
	const char *why = try_program(run);

	if (why)
		fprintf(stderr, "%s: %s\n", run->argv[0], why);
	return !why;
}

/* --- whether it works here --- */

struct trial {
	bool before, after;
};

static enum trace_answer trial_before(void *context, struct trace_call *call)
{
	struct trial *trial = context;

	trial->before = call->what->kind == TRACE_NAME;
	return TRACE_GO;
}

static enum trace_answer trial_after(void *context, const struct trace_call *call)
{
	struct trial *trial = context;

	trial->after = call->result == -ENOENT;
	return TRACE_KILL;
}

const char *trace_refusal(void)
{
	static const char *const argv[] = {"unlink", "/nonexistent/file", NULL};
	struct trial trial = {0};
	struct trace_run run = {
		.folder = "/",
		.argv = argv,
		.before = trial_before,
		.after = trial_after,
		.context = &trial,
	};
	const char *why;

	if (!trace_regs_known())
		return "the registers of this processor are not known";
	why = try_program(&run);
	if (!why && (!trial.before || !trial.after || run.status != 128 + SIGKILL))
		why = "stops at system calls do not arrive";
	return why;
}

int run_program(const char *folder, const char *const *argv, const char *out_path)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		int in = open("/dev/null", O_RDONLY);
		int out =
			open(out_path ? out_path : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0666);

		alarm(SECONDS_MAX);
		if (chdir(folder) == 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1
		    && dup2(out, 2) == 2)
			execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(NOT_STARTED);
	}
	must(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
