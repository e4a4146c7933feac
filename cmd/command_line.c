// SPDX-License-Identifier: MIT
#include "cmd/command_line.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/foreign.h"
#include "cmd/suggest.h"
#include "io/sandbox.h"

enum {
	KEY_HELP = 'h',
	HELP_SHOWN = ECANCELED, /* what the parser returns to stop argp without an error */
	COMMON_GROUP = 1,	/* common options stand below the command's own in --help */
};

struct parse {
	const struct command_syntax *syntax;
	void *context;
	struct command_line *line;
	struct argp_option options[COMMAND_OPTIONS_MAX + COMMON_OPTION_COUNT + 3];
};

static void list_options(struct parse *parse)
{
	const struct argp_option *own = parse->syntax->options;
	unsigned int count = 0;
	unsigned int common_count;

	for (; own && (own->name || own->key || own->doc); own++) {
		assert(count < COMMAND_OPTIONS_MAX);
		parse->options[count++] = *own;
	}
	parse->options[count++] =
		(struct argp_option){.doc = "Common options:", .group = COMMON_GROUP};
	common_count = common_options_list(parse->syntax->accepts, parse->options + count);
	for (unsigned int i = 0; i < common_count; i++)
		parse->options[count++].group = COMMON_GROUP;
	parse->options[count++] = (struct argp_option){.name = "help",
						       .key = KEY_HELP,
						       .doc = "show this",
						       .group = COMMON_GROUP};
	parse->options[count] = (struct argp_option){0};
}

/* "--at=OFFSET" is more to the point than the key. */
static const char *option_name(const struct parse *parse, int key)
{
	for (const struct argp_option *option = parse->options; option->key || option->doc;
	     option++)
		if (option->key == key && option->name)
			return option->name;
	return "?";
}

static error_t take_option(struct parse *parse, int key, const char *value)
{
	const struct command_syntax *syntax = parse->syntax;
	const char *name = parse->line->name;
	struct qc_err err;
	bool known;

	if (common_options_take(&parse->line->common, syntax->accepts, key, value, &known, &err)
	    < 0) {
		parse->line->status = command_usage(name, "%s", err.text);
		return EINVAL;
	}
	if (known)
		return 0;
	if (syntax->take(parse->context, key, value, &err) < 0) {
		parse->line->status =
			command_usage(name, "--%s: %s", option_name(parse, key), err.text);
		return EINVAL;
	}
	return 0;
}

static error_t take_argument(struct parse *parse, const char *value)
{
	struct command_line *line = parse->line;

	if (line->arguments == parse->syntax->most) {
		line->status = command_usage(line->name, "too many arguments: '%s'", value);
		return EINVAL;
	}
	line->argument[line->arguments++] = value;
	return 0;
}

static error_t check_arguments(struct parse *parse)
{
	struct command_line *line = parse->line;

	if (line->arguments >= parse->syntax->least)
		return 0;
	line->status = command_usage(line->name, "missing arguments: expected %s",
				     parse->syntax->arguments);
	return EINVAL;
}

static error_t parse_one(int key, char *value, struct argp_state *state)
{
	struct parse *parse = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		/* Without a stream argp's own several lines stay away; getopt's one line does not. */
		state->err_stream = NULL;
		return 0;
	case ARGP_KEY_ARG:
		return take_argument(parse, value);
	case ARGP_KEY_END:
		return check_arguments(parse);
	case KEY_HELP:
		argp_state_help(state, stdout,
				ARGP_HELP_STD_HELP & ~(ARGP_HELP_EXIT_ERR | ARGP_HELP_EXIT_OK));
		return HELP_SHOWN;
	default:
		if (key < ARGP_KEY_END)
			return take_option(parse, key, value);
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- misspelt options --- */

/* As getopt takes it: whole, or any start of it. */
static const struct argp_option *find_long(const struct parse *parse, const char *word,
					   size_t length)
{
	const struct argp_option *found = NULL;

	for (const struct argp_option *o = parse->options; o->key || o->doc; o++) {
		if (!o->name || strncmp(o->name, word, length) != 0)
			continue;
		found = o;
		if (o->name[length] == '\0')
			break;
	}
	return found;
}

static const struct argp_option *find_letter(const struct parse *parse, char letter)
{
	for (const struct argp_option *o = parse->options; o->key || o->doc; o++)
		if (o->key == letter)
			return o;
	return NULL;
}

static void refuse_letter(struct parse *parse, char letter)
{
	struct command_line *line = parse->line;
	const char *advice = foreign_advice(line->name, &letter, 1);

	if (advice)
		line->status =
			command_usage(line->name, "invalid option -- '%c'; %s", letter, advice);
	else
		line->status = command_usage(line->name, "invalid option -- '%c'; try '%s --help'",
					     letter, line->name);
}

/*
 * Whether a letter is unknown, and what is wrong was said. Else *ret_next tells whether the next word is the
 * value of an option in this one, as in "-qb base".
 */
static bool refuse_letters(struct parse *parse, const char *letters, bool *ret_next)
{
	const struct argp_option *option;

	for (*ret_next = false; *letters; letters++) {
		option = find_letter(parse, *letters);
		if (!option) {
			refuse_letter(parse, *letters);
			return true;
		}
		if (option->arg) {
			*ret_next = letters[1] == '\0';
			return false;
		}
	}
	return false;
}

static void refuse_name(struct parse *parse, const char *word, size_t length)
{
	struct command_line *line = parse->line;
	const char *advice = foreign_advice(line->name, word, length);
	struct suggestion suggestion;

	if (advice) {
		line->status = command_usage(line->name, "unrecognized option '--%.*s'; %s",
					     (int)length, word, advice);
		return;
	}
	suggestion_init(&suggestion, word, length);
	for (const struct argp_option *o = parse->options; o->key || o->doc; o++)
		if (o->name)
			suggestion_offer(&suggestion, o->name);
	if (suggestion.name)
		line->status = command_usage(line->name,
					     "unrecognized option '--%.*s'; did you mean '--%s'?",
					     (int)length, word, suggestion.name);
	else
		line->status = command_usage(line->name,
					     "unrecognized option '--%.*s'; try '%s --help'",
					     (int)length, word, line->name);
}

/* getopt says what is wrong itself, but not what to do about it. Values are not options. */
static bool refuse_misspelt(struct parse *parse, int argc, char **argv)
{
	const struct argp_option *option;
	bool next;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		size_t length = argv[i][0] == '-' ? strcspn(argv[i], "=") : 0;

		if (length < 2)
			continue;
		if (argv[i][1] != '-') {
			if (refuse_letters(parse, argv[i] + 1, &next))
				return true;
			i += next;
			continue;
		}
		option = find_long(parse, argv[i] + 2, length - 2);
		if (!option) {
			refuse_name(parse, argv[i] + 2, length - 2);
			return true;
		}
		i += option->arg && !argv[i][length];
	}
	return false;
}

/* --- the whole --- */

/* argp explains an option letter's value at length below every list that has one; we do not. */
static char *filter_help(int key, const char *text, void *input)
{
	(void)input;
	return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

bool command_line_parse(const struct command_syntax *syntax, int argc, char **argv, void *context,
			struct command_line *ret)
{
	struct parse parse = {.syntax = syntax, .context = context, .line = ret};
	struct argp argp = {.options = parse.options,
			    .parser = parse_one,
			    .args_doc = syntax->usages ? syntax->usages : syntax->arguments,
			    .doc = syntax->doc,
			    .help_filter = filter_help};
	error_t error;

	assert(syntax->most <= COMMAND_ARGUMENTS_MAX);
	*ret = (struct command_line){.name = argv[0],
				     .common.chain = QC_CHAIN_ANY,
				     .status = EXIT_USAGE};
	list_options(&parse);
	if (refuse_misspelt(&parse, argc, argv))
		return false;
	error = argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP | ARGP_NO_EXIT, NULL,
			   &parse);
	if (error == HELP_SHOWN)
		ret->status = EXIT_DONE;
	else if (error == 0) {
		if ((syntax->accepts & COMMON_NO_SANDBOX) && !ret->common.no_sandbox)
			qc_sandbox_limit();
		return true;
	} else if (error == ENOMEM)
		ret->status = command_usage(argv[0], "out of memory");
	return false;
}
