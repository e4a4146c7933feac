// SPDX-License-Identifier: MIT
/*
 * Scripts of `write`: the options' words without dashes, blanks between a word and its value, as
 * many words on a line as you like. `#` starts a comment where a word could stand.
 *
 *	at 0x1be hex 80 01 01 00	# hex digits go on until something else comes
 *	at 4k text "two words\n"	a quoted value ends at its quote, with \n \t \\ \" \0 \xHH
 *	text the rest of the line	an unquoted text ends with the line
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/patches.h"

static const char *skip_blanks(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

static const char *end_of_token(const char *at)
{
	while (*at != '\0' && !isspace((unsigned char)*at))
		at++;
	return at;
}

static bool is_hex_token(const char *at, const char *end)
{
	for (; at < end; at++)
		if (!isxdigit((unsigned char)*at))
			return false;
	return true;
}

/* The value of hex and expect: every token up to the first that is not made of hex digits. */
static const char *end_of_digits(const char *at)
{
	const char *end = at;

	for (const char *next = skip_blanks(at); *next != '\0'; next = skip_blanks(end)) {
		const char *token_end = end_of_token(next);

		if (!is_hex_token(next, token_end))
			break;
		end = token_end;
	}
	return end;
}

/* One escaped character behind a backslash; NULL if there is no such escape. */
static const char *unescape(const char *at, char *ret)
{
	static const char from[] = "nt0\\\"", to[] = "\n\t\0\\\"";
	const char *found = *at != '\0' ? strchr(from, *at) : NULL;

	if (found) {
		*ret = to[found - from];
		return at + 1;
	}
	if (at[0] == 'x' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
		const char digits[] = {at[1], at[2], '\0'};

		*ret = (char)strtoul(digits, NULL, 16);
		return at + 3;
	}
	return NULL;
}

/* A quoted value, from behind its first quote. *ret_bytes is set: a value may hold anything. */
static int take_quoted(const char **at, char *value, size_t *ret_bytes, struct qc_err *err)
{
	const char *from = *at;
	size_t used = 0;

	while (*from != '"') {
		if (*from == '\0')
			return qc_fail(err, QC_E_ARGUMENT, "the quote does not end");
		if (*from != '\\') {
			value[used++] = *from++;
			continue;
		}
		from = unescape(from + 1, &value[used++]);
		if (!from)
			return qc_fail(err, QC_E_ARGUMENT, "unknown escape in the quote");
	}
	*at = from + 1;
	*ret_bytes = used;
	return 0;
}

/* Cuts the value of `word` out of the line; `value` has room for the whole line. */
static int take_value(enum patch_word word, const char **at, char *value, size_t *ret_bytes,
		      struct qc_err *err)
{
	const char *from = skip_blanks(*at), *end;

	if (*from == '"' && (word == PATCH_TEXT || word == PATCH_FILE)) {
		*at = from + 1;
		return take_quoted(at, value, ret_bytes, err);
	}
	if (word == PATCH_TEXT)
		end = from + strlen(from);
	else if (word == PATCH_HEX || word == PATCH_EXPECT)
		end = end_of_digits(from);
	else
		end = end_of_token(from);
	if (end == from)
		return qc_fail(err, QC_E_ARGUMENT, "the value is missing");
	memcpy(value, from, (size_t)(end - from));
	*ret_bytes = (size_t)(end - from);
	*at = end;
	return 0;
}

static int add_line(struct patches *patches, const char *line, char *value, struct qc_err *err)
{
	size_t bytes = 0;
	int status;

	for (const char *at = skip_blanks(line); *at != '\0' && *at != '#'; at = skip_blanks(at)) {
		const char *end = end_of_token(at);
		enum patch_word word = patch_word_find(at, (size_t)(end - at));

		if (word == PATCH_WORD_COUNT)
			return qc_fail(err, QC_E_ARGUMENT, "unknown word '%.*s'",
				       (int)(end - at < 40 ? end - at : 40), at);
		at = end;
		if ((status = take_value(word, &at, value, &bytes, err)) < 0
		    || (status = patches_add_bytes(patches, word, value, bytes, err)) < 0)
			return status;
	}
	return 0;
}

static int add_lines(struct patches *patches, FILE *stream, const char *path, struct qc_err *err)
{
	QC_AUTOFREE char *line = NULL;
	QC_AUTOFREE char *value = NULL;
	size_t room = 0, value_room = 0;
	unsigned long number = 0;
	ssize_t length;

	while ((length = getline(&line, &room, stream)) >= 0) {
		number++;
		if (strlen(line) != (size_t)length)
			return qc_fail(err, QC_E_ARGUMENT, "%s:%lu: a zero byte", path, number);
		if (length > 0 && line[length - 1] == '\n')
			line[length - 1] = '\0';
		if (room > value_room) {
			free(value);
			value = malloc(room);
			value_room = room;
			if (!value)
				return qc_fail_memory(err);
		}
		if (add_line(patches, line, value, err) < 0)
			return qc_err_context(err, "%s:%lu", path, number);
	}
	return ferror(stream) ? qc_fail_errno(err, errno, "%s", path) : 0;
}

int patches_add_script(struct patches *patches, const char *path, struct qc_err *err)
{
	FILE *stream;
	int status;

	if (strcmp(path, "-") == 0) {
		if (patches->stdin_taken)
			return qc_fail(err, QC_E_ARGUMENT, "stdin can be used only once");
		patches->stdin_taken = true;
		return add_lines(patches, stdin, "stdin", err);
	}
	stream = fopen(path, "re");
	if (!stream)
		return qc_fail_errno(err, errno, "%s", path);
	status = add_lines(patches, stream, path, err);
	fclose(stream);
	return status;
}
