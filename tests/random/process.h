// SPDX-License-Identifier: MIT
/* Other programs, run one at a time, with all that they say kept in the log of the case. */
#pragma once

#include <stdbool.h>

struct command {
	char *words[64];
	int count;
};

struct outcome {
	int status;    /* the exit status; 128 + N for a program that signal N ended */
	long peak_kib; /* the most memory that it held */
	double seconds;
};

/* Appends one word, formatted. */
void command_add(struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Runs it and forgets its words. What it prints goes to the file `log`, stdout to the file `out`
 * instead if that is not NULL. A program that computes for minutes is ended by the kernel.
 */
struct outcome command_run(struct command *command, const char *log, const char *out);
