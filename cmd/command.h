// SPDX-License-Identifier: MIT
/*
 * The contract between main.c and the commands. A command is one function in cmd_<name>.c; main.c
 * lists it in its table. It parses its own arguments (command_line.h), prints its result to stdout,
 * and returns an exit status. It writes to stderr through the functions below only: one line if it
 * fails, and a note if it had to recover the image first.
 *
 *	int cmd_grow(int argc, char **argv)
 *	{
 *		struct command_line line;
 *		struct qc_err err;
 *
 *		if (!command_line_parse(&syntax, argc, argv, NULL, &line))
 *			return line.status;
 *		if (grow(&line, &err) < 0)
 *			return command_fail(line.name, line.argument[0], &err);
 *		return EXIT_DONE;
 *	}
 *
 * Nobody checks stdout's errors but main(), after the command returned.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "cmd/exit_status.h"

struct command {
	const char *name;
	const char *summary;		   /* for --help: no full stop */
	int (*run)(int argc, char **argv); /* argv[0] is "qcowtool NAME"; returns an exit status */
	bool changes_images; /* then a result that cannot be printed does not make it a failure */
};

/* One in each cmd_<name>.c. */
int cmd_check(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_decompress(int argc, char **argv);
int cmd_hash(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_read(int argc, char **argv);
int cmd_rebase(int argc, char **argv);
int cmd_recover(int argc, char **argv);
int cmd_snapshot_cow(int argc, char **argv);
int cmd_write(int argc, char **argv);

/*
 * Prints "name: file: reason" to stderr, one line whatever the parts hold; file NULL leaves it out.
 * `name` is what argv[0] was. Returns the exit status that the error calls for.
 */
int command_fail(const char *name, const char *file, const struct qc_err *err);

/* Prints "name: file: note" to stderr, one line: something to know about work that goes on. */
void command_note(const char *name, const char *file, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints "name: text" to stderr, one line, and returns EXIT_USAGE. */
int command_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
