// SPDX-License-Identifier: MIT
#include "cmd/patches.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/size.h"
#include "io/file_posix.h"

static const char *const words[PATCH_WORD_COUNT] = {
	[PATCH_AT] = "at",	     [PATCH_HEX] = "hex",	[PATCH_TEXT] = "text",
	[PATCH_FILE] = "file",	     [PATCH_FILL] = "fill",	[PATCH_ZERO] = "zero",
	[PATCH_DISCARD] = "discard", [PATCH_EXPECT] = "expect",
};

enum patch_word patch_word_find(const char *name, size_t length)
{
	int word;

	for (word = 0; word < PATCH_WORD_COUNT; word++)
		if (strlen(words[word]) == length && memcmp(words[word], name, length) == 0)
			break;
	return (enum patch_word)word;
}

/* --- values --- */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Pairs of hex digits with blanks between them. */
static int parse_hex(const char *digits, struct patch *patch, struct qc_err *err)
{
	patch->bytes = malloc(strlen(digits) / 2 + 1);
	if (!patch->bytes)
		return qc_fail_memory(err);
	while (*digits != '\0') {
		int high, low;

		if (isspace((unsigned char)*digits)) {
			digits++;
			continue;
		}
		high = digit_of(digits[0]);
		low = high < 0 ? -1 : digit_of(digits[1]);
		if (low < 0 && digits[0] == '0' && (digits[1] | 0x20) == 'x')
			return qc_fail(err, QC_E_ARGUMENT,
				       "digits stand here without 0x, not '%.8s'", digits);
		if (low < 0)
			return qc_fail(err, QC_E_ARGUMENT, "no pair of hex digits at '%.8s'",
				       digits);
		patch->bytes[patch->length++] = (uint8_t)(high << 4 | low);
		digits += 2;
	}
	return 0;
}

static int parse_text(const char *text, size_t length, struct patch *patch, struct qc_err *err)
{
	patch->bytes = malloc(length + 1);
	if (!patch->bytes)
		return qc_fail_memory(err);
	memcpy(patch->bytes, text, length);
	patch->length = length;
	return 0;
}

/* BYTE:LENGTH */
static int parse_fill(const char *value, struct patch *patch, struct qc_err *err)
{
	const char *colon = strchr(value, ':');
	QC_AUTOFREE char *byte_text = NULL;
	uint64_t byte;
	int status;

	if (!colon)
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is not BYTE:LENGTH", value);
	byte_text = strndup(value, (size_t)(colon - value));
	if (!byte_text)
		return qc_fail_memory(err);
	if (size_parse(byte_text, &byte, err) < 0 || byte > 255)
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is no byte: expected 0 to 255 or 0x-hex",
			       byte_text);
	if ((status = size_parse(colon + 1, &patch->length, err)) < 0)
		return status;
	patch->fill = (uint8_t)byte;
	return 0;
}

/* Copies a stream to a temporary file: what can be read only once is needed twice. */
static int spool(FILE *stream, struct patch *patch, struct qc_err *err)
{
	uint8_t buffer[1 << 16];
	size_t got;
	int status;

	if ((status = qc_file_posix_temporary(&patch->file, err)) < 0)
		return status;
	while ((got = fread(buffer, 1, sizeof(buffer), stream)) > 0) {
		status = qc_file_write(patch->file, patch->length, buffer, got, err);
		if (status < 0)
			return qc_err_context(err, "temporary file (TMPDIR says where)");
		patch->length += got;
	}
	return ferror(stream) ? qc_fail_errno(err, errno, "%s", patch->path) : 0;
}

/* Opened once, so that what was measured is what will be read. */
static int open_source(struct patch *patch, struct qc_err *err)
{
	static const struct qc_file_open how = {.lock = QC_LOCK_NONE};
	int status = qc_file_posix_open(patch->path, &how, &patch->file, err);

	if (status < 0)
		return qc_err_context(err, "%s", patch->path);
	patch->length = patch->file->bytes;
	return 0;
}

static int parse_file(struct patches *patches, const char *path, struct patch *patch,
		      struct qc_err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat info;
	FILE *stream;
	int status;

	patch->path = strdup(is_stdin ? "stdin" : path); /* what errors name */
	if (!patch->path)
		return qc_fail_memory(err);
	if (is_stdin) {
		if (patches->stdin_taken)
			return qc_fail(err, QC_E_ARGUMENT, "stdin can be used only once");
		patches->stdin_taken = true;
		return spool(stdin, patch, err);
	}
	if (stat(path, &info) == 0 && (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode)))
		return open_source(patch, err);
	stream = fopen(path, "re");
	if (!stream)
		return qc_fail_errno(err, errno, "%s", path);
	status = spool(stream, patch, err);
	fclose(stream);
	return status;
}

/* --- the list --- */

static void clear_patch(struct patch *patch)
{
	free(patch->bytes);
	free(patch->path);
	qc_file_close(patch->file);
}

void patches_clear(struct patches *patches)
{
	for (size_t i = 0; i < patches->count; i++)
		clear_patch(&patches->list[i]);
	free(patches->list);
	*patches = (struct patches){0};
}

static int make_room(struct patches *patches, struct qc_err *err)
{
	size_t room = patches->room ? patches->room * 2 : 16;
	struct patch *grown;

	if (patches->count < patches->room)
		return 0;
	grown = reallocarray(patches->list, room, sizeof(*grown));
	if (!grown)
		return qc_fail_memory(err);
	patches->list = grown;
	patches->room = room;
	return 0;
}

static int parse(struct patches *patches, const char *value, size_t length, struct patch *patch,
		 struct qc_err *err)
{
	switch (patch->word) {
	case PATCH_HEX:
	case PATCH_EXPECT:
		return parse_hex(value, patch, err);
	case PATCH_TEXT:
		return parse_text(value, length, patch, err);
	case PATCH_FILE:
		return parse_file(patches, value, patch, err);
	case PATCH_FILL:
		return parse_fill(value, patch, err);
	default:
		return size_parse(value, &patch->length, err);
	}
}

/* Gives the patch its place, and the next one its own. */
static int place(struct patches *patches, struct patch *patch, struct qc_err *err)
{
	uint64_t end;

	patch->at = patches->at;
	if (!qc_add(patch->at, patch->length, &end) || end > INT64_MAX)
		return qc_fail(err, QC_E_ARGUMENT, "no disk reaches that far");
	if (patch->word == PATCH_EXPECT)
		return 0;
	patches->at = end;
	patches->end = qc_max(patches->end, end);
	patches->sources++;
	return 0;
}

/* `value` ends in a zero byte behind its `length` bytes. */
static int add(struct patches *patches, enum patch_word word, const char *value, size_t length,
	       struct qc_err *err)
{
	struct patch patch = {.word = word};
	int status;

	patches->at_waits = word == PATCH_AT;
	if (word == PATCH_AT)
		return size_parse(value, &patches->at, err);
	status = make_room(patches, err);
	if (status == 0)
		status = parse(patches, value, length, &patch, err);
	if (status == 0)
		status = place(patches, &patch, err);
	if (status < 0)
		clear_patch(&patch);
	else
		patches->list[patches->count++] = patch;
	return status;
}

int patches_add(struct patches *patches, enum patch_word word, const char *value,
		struct qc_err *err)
{
	return add(patches, word, value, strlen(value), err);
}

int patches_add_bytes(struct patches *patches, enum patch_word word, const char *value,
		      size_t length, struct qc_err *err)
{
	QC_AUTOFREE char *copy = malloc(length + 1);

	if (!copy)
		return qc_fail_memory(err);
	if (word != PATCH_TEXT && memchr(value, '\0', length))
		return qc_fail(err, QC_E_ARGUMENT, "a zero byte");
	memcpy(copy, value, length);
	copy[length] = '\0';
	return add(patches, word, copy, length, err);
}
