// SPDX-License-Identifier: MIT
/*
 * Parses the arguments of one command with argp, and keeps its manners: options in any order
 * (whatever POSIXLY_CORRECT says), --help on stdout, and for a wrong use one line and status 64.
 *
 *	static const struct argp_option options[] = {
 *		{"compress", 'c', NULL, 0, "store whole clusters compressed", 0},
 *		{0},
 *	};
 *	static int take(void *context, int key, const char *value, struct qc_err *err) ...
 *
 *	static const struct command_syntax syntax = {
 *		.arguments = "IMAGE [SIZE]",
 *		.least = 1,
 *		.most = 2,
 *		.doc = "Shrinks IMAGE.",
 *		.options = options,
 *		.take = take,
 *		.accepts = COMMON_OUTPUT | COMMON_QUIET,
 *	};
 */
#pragma once

#include <argp.h>
#include <stdbool.h>

#include "base/err.h"
#include "cmd/common_options.h"

#define COMMAND_ARGUMENTS_MAX 4
#define COMMAND_OPTIONS_MAX 24

struct command_syntax {
	const char *arguments;	  /* what is no option, as --help shows it */
	const char *usages;	  /* if it has several forms: these, a line each, for --help */
	unsigned int least, most; /* how many of those; most is at most COMMAND_ARGUMENTS_MAX */
	const char *doc;	  /* what the command does, for --help */

	/* The command's own options, ended by {0}, keys below COMMON_KEY_FIRST; NULL for none. */
	const struct argp_option *options;
	/*
	 * Called for each of them in the order of the command line; `value` is NULL for an option
	 * without one. An error is printed as a wrong use, after the option's name.
	 */
	int (*take)(void *context, int key, const char *value, struct qc_err *err);

	unsigned int accepts; /* bits of enum common_option */
};

/* What was typed. The strings are borrowed from argv. */
struct command_line {
	const char *name; /* "qcowtool write", for command_fail() */
	struct common_options common;
	const char *argument[COMMAND_ARGUMENTS_MAX]; /* NULL where there is none */
	unsigned int arguments;
	int status; /* after false: what the command is to return */
};

/*
 * True if there is work to do. False, with ret->status set, after --help or after a line about what
 * is wrong was printed. `context` goes to syntax->take.
 */
bool command_line_parse(const struct command_syntax *syntax, int argc, char **argv, void *context,
			struct command_line *ret);
