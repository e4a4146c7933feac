// SPDX-License-Identifier: MIT
#include "cmd/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/interrupt.h"

/* File names are anybody's bytes: they may neither start a new line nor talk to the terminal. */
static void put_plain(const char *text)
{
	for (; *text != '\0'; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, stderr);
}

static void put_line(const char *name, const char *file, const char *text)
{
	put_plain(name);
	fputs(": ", stderr);
	if (file) {
		put_plain(*file != '\0' ? file : "''");
		fputs(": ", stderr);
	}
	put_plain(text);
	putc('\n', stderr);
}

int command_fail(const char *name, const char *file, const struct qc_err *err)
{
	bool plainly = err->code == QC_E_INTERRUPTED && strcmp(err->text, "interrupted") == 0;

	put_line(name, file, plainly ? INTERRUPTED_WORDS : err->text);
	return exit_status_of(err);
}

void command_note(const char *name, const char *file, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_line(name, file, text);
}

int command_usage(const char *name, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_line(name, NULL, text);
	return EXIT_USAGE;
}
