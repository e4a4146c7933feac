// SPDX-License-Identifier: MIT
#include "random/process.h"

#include <err.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CPU_SECONDS 240

void command_add(struct command *command, const char *format, ...)
{
	va_list list;

	if (command->count + 1 >= (int)(sizeof(command->words) / sizeof(command->words[0])))
		errx(2, "too many words in a command");
	va_start(list, format);
	if (vasprintf(&command->words[command->count], format, list) < 0)
		err(2, "malloc");
	va_end(list);
	command->words[++command->count] = NULL;
}

static void log_words(const struct command *command, const char *log)
{
	FILE *stream = fopen(log, "ae");

	if (!stream)
		err(2, "%s", log);
	fputc('$', stream);
	for (int i = 0; i < command->count; i++)
		fprintf(stream, strpbrk(command->words[i], " ;") ? " '%s'" : " %s",
			command->words[i]);
	fputc('\n', stream);
	fclose(stream);
}

static void become(const struct command *command, const char *log, const char *out)
{
	const struct rlimit limit = {CPU_SECONDS, CPU_SECONDS};
	int in_fd = open("/dev/null", O_RDONLY);
	int log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT, 0666);
	int out_fd = out ? open(out, O_WRONLY | O_TRUNC | O_CREAT, 0666) : log_fd;

	if (in_fd < 0 || log_fd < 0 || out_fd < 0 || dup2(in_fd, STDIN_FILENO) < 0
	    || dup2(out_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		_exit(127);
	setrlimit(RLIMIT_CPU, &limit);
	execvp(command->words[0], command->words);
	_exit(127);
}

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct outcome command_run(struct command *command, const char *log, const char *out)
{
	double start = now_seconds();
	struct outcome outcome;
	struct rusage usage;
	int status;
	pid_t pid;

	log_words(command, log);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (pid == 0)
		become(command, log, out);
	if (wait4(pid, &status, 0, &usage) < 0)
		err(2, "wait4");
	outcome.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	outcome.peak_kib = usage.ru_maxrss;
	outcome.seconds = now_seconds() - start;
	while (command->count > 0)
		free(command->words[--command->count]);
	return outcome;
}
