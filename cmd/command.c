// SPDX-License-Identifier: MIT
#include "cmd/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/emit.h"
#include "cmd/interrupt.h"

static void put_line(const char *name, const char *file, const char *text)
{
	emit_plain(stderr, name);
	fputs(": ", stderr);
	if (file) {
		emit_plain(stderr, *file != '\0' ? file : "''");
		fputs(": ", stderr);
	}
	emit_plain(stderr, text);
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
