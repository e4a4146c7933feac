// SPDX-License-Identifier: MIT
/* The manners of every command line, whatever the command. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/command_line.h"

/* What was taken, as a string: "a5 c a7". */
struct taken {
	char text[256];
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct taken *taken = context;
	size_t used = strlen(taken->text);

	if (value && strcmp(value, "bad") == 0)
		return qc_fail(err, QC_E_ARGUMENT, "'bad' is bad");
	snprintf(taken->text + used, sizeof(taken->text) - used, "%s%c%s", used ? " " : "", key,
		 value ? value : "");
	return 0;
}

static const struct argp_option options[] = {
	{"at", 'a', "OFFSET", 0, "where", 0},
	{"compress", 'c', NULL, 0, "tighter", 0},
	{0},
};

static const struct command_syntax syntax = {
	.arguments = "IMAGE [SIZE]",
	.least = 1,
	.most = 2,
	.doc = "Tries.",
	.options = options,
	.take = take,
	.accepts = COMMON_OUTPUT | COMMON_QUIET | COMMON_CHAIN,
};

static struct command_line line;
static struct taken taken;
static char complaint[512]; /* what the last parse() printed to stderr */

/* Splits `words` at blanks and parses them, with stderr caught. */
static bool parse(const char *words)
{
	static char copy[256];
	char *argv[16] = {(char *)"qcowtool try"};
	int argc = 1;
	int saved = dup(STDERR_FILENO);
	FILE *caught = tmpfile();
	size_t length;
	bool go;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	taken = (struct taken){0};
	dup2(fileno(caught), STDERR_FILENO);
	go = command_line_parse(&syntax, argc, argv, &taken, &line);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(caught);
	length = fread(complaint, 1, sizeof(complaint) - 1, caught);
	complaint[length] = '\0';
	fclose(caught);
	return go;
}

static void is_wrong_use(const char *words, const char *expected)
{
	assert_false(parse(words));
	assert_int_equal(line.status, EXIT_USAGE);
	assert_string_equal(complaint, expected);
}

static void options_may_stand_in_any_order(void **state)
{
	(void)state;
	assert_true(parse("--at=5 disk -q -c 1G --at 7"));
	assert_string_equal(taken.text, "a5 c a7");
	assert_string_equal(line.argument[0], "disk");
	assert_string_equal(line.argument[1], "1G");
	assert_int_equal(line.arguments, 2);
	assert_true(line.common.quiet);
	assert_string_equal(complaint, "");
}

static void the_environment_does_not_change_the_order(void **state)
{
	setenv("POSIXLY_CORRECT", "1", 1);
	options_may_stand_in_any_order(state);
	unsetenv("POSIXLY_CORRECT");
}

static void nothing_given_means_the_defaults(void **state)
{
	(void)state;
	assert_true(parse("disk"));
	assert_int_equal(line.common.output, OUTPUT_HUMAN);
	assert_int_equal(line.common.chain, QC_CHAIN_ANY);
	assert_false(line.common.quiet || line.common.dry_run || line.common.no_sync);
	assert_null(line.argument[1]);
}

static void choices_are_taken(void **state)
{
	(void)state;
	assert_true(parse("disk --output=json --chain=dir"));
	assert_int_equal(line.common.output, OUTPUT_JSON);
	assert_int_equal(line.common.chain, QC_CHAIN_DIR);
	assert_true(parse("disk --output=human --chain=none"));
	assert_int_equal(line.common.output, OUTPUT_HUMAN);
	assert_int_equal(line.common.chain, QC_CHAIN_NONE);
}

static void a_wrong_use_is_one_line_and_status_64(void **state)
{
	(void)state;
	is_wrong_use("", "qcowtool try: missing arguments: expected IMAGE [SIZE]\n");
	is_wrong_use("a b c", "qcowtool try: too many arguments: 'c'\n");
	is_wrong_use("a --foo",
		     "qcowtool try: unrecognized option '--foo'; try 'qcowtool try --help'\n");
	is_wrong_use("a --at", "qcowtool try: option '--at' requires an argument\n");
	is_wrong_use("a --at=bad", "qcowtool try: --at: 'bad' is bad\n");
	is_wrong_use("a --output=xml", "qcowtool try: --output: 'xml' is not human or json\n");
	is_wrong_use("a --chain=all", "qcowtool try: --chain: 'all' is not none, dir or any\n");
}

static void a_misspelt_option_is_told_what_it_may_have_been(void **state)
{
	(void)state;
	is_wrong_use(
		"a --comprses",
		"qcowtool try: unrecognized option '--comprses'; did you mean '--compress'?\n");
	is_wrong_use("--ouptut=json a",
		     "qcowtool try: unrecognized option '--ouptut'; did you mean '--output'?\n");
	is_wrong_use("a --xyzzy",
		     "qcowtool try: unrecognized option '--xyzzy'; try 'qcowtool try --help'\n");
}

static void what_is_a_value_is_no_misspelt_option(void **state)
{
	(void)state;
	assert_true(parse("--at --comprses a"));
	assert_true(parse("-ca --comprses a"));
	assert_true(parse("a -- --comprses"));
	assert_true(parse("--compr a"));
	assert_true(parse("--compr --at=5 - a"));
}

static void common_options_that_are_not_accepted_do_not_exist(void **state)
{
	(void)state;
	is_wrong_use("a -n", "qcowtool try: invalid option -- 'n'; try 'qcowtool try --help'\n");
	is_wrong_use("a --no-sync",
		     "qcowtool try: unrecognized option '--no-sync'; try 'qcowtool try --help'\n");
	is_wrong_use("a -U", "qcowtool try: invalid option -- 'U'; try 'qcowtool try --help'\n");
}

static void only_a_lost_outcome_is_status_4(void **state)
{
	struct qc_err err = {.code = QC_E_OUTCOME_UNKNOWN};

	(void)state;
	assert_int_equal(exit_status_of(&err), 4);
	err.code = QC_E_IO;
	assert_int_equal(exit_status_of(&err), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_in_any_order),
		cmocka_unit_test(the_environment_does_not_change_the_order),
		cmocka_unit_test(nothing_given_means_the_defaults),
		cmocka_unit_test(choices_are_taken),
		cmocka_unit_test(a_wrong_use_is_one_line_and_status_64),
		cmocka_unit_test(a_misspelt_option_is_told_what_it_may_have_been),
		cmocka_unit_test(what_is_a_value_is_no_misspelt_option),
		cmocka_unit_test(common_options_that_are_not_accepted_do_not_exist),
		cmocka_unit_test(only_a_lost_outcome_is_status_4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
