// SPDX-License-Identifier: MIT
#include "cmd/interrupt.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cmd/exit_status.h"

/* A signal handler can reach nothing else. */
static volatile sig_atomic_t stop;
static const char *command_name;

static void note_signal(int number)
{
	(void)number;
	stop = 1;
}

static void put(const char *text)
{
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)ignored;
}

static void end_program(int number)
{
	(void)number;
	put(command_name);
	put(": " INTERRUPTED_WORDS "\n");
	_exit(EXIT_FAILED);
}

static void handle(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

void interrupt_end_at_once(const char *name)
{
	command_name = name;
	handle(end_program);
}

const volatile sig_atomic_t *interrupt_catch(void)
{
	handle(note_signal);
	return &stop;
}
