// SPDX-License-Identifier: MIT
#include "cmd/emit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

int emit_json(json_t *take_value, struct qc_err *err)
{
	/* ASCII only, so that nothing in an image can talk to the terminal. */
	size_t flags = JSON_INDENT(4) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY;
	int result = take_value ? json_dumpf(take_value, stdout, flags) : -1;

	json_decref(take_value);
	if (result < 0 && !ferror(stdout))
		return qc_fail_memory(err);
	putc('\n', stdout);
	return 0;
}

/* How long the UTF-8 character at the start of the `left` bytes is; 0 if there is none. */
static size_t character_bytes(const char *text, size_t left)
{
	unsigned char lead = (unsigned char)*text;
	size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	json_t *checked;

	if (bytes == 1 || bytes > left)
		return bytes == 1 ? 1 : 0;
	checked = json_stringn(text, bytes);
	json_decref(checked);
	return checked ? bytes : 0;
}

/* An invalid byte becomes three. */
static json_t *repaired_text(const char *text)
{
	size_t left = strlen(text);
	QC_AUTOFREE char *repaired = malloc(left * 3 + 1);
	char *end = repaired;

	if (!repaired)
		return NULL;
	while (left > 0) {
		size_t bytes = character_bytes(text, left);

		end = bytes ? mempcpy(end, text, bytes)
			    : mempcpy(end, replacement, sizeof(replacement) - 1);
		text += bytes ? bytes : 1;
		left -= bytes ? bytes : 1;
	}
	return json_stringn(repaired, (size_t)(end - repaired));
}

json_t *emit_text(const char *text)
{
	json_t *value = json_string(text);

	return value ? value : repaired_text(text);
}

json_t *emit_number(uint64_t number)
{
	return number <= INT64_MAX ? json_integer((json_int_t)number) : json_real((double)number);
}

struct emit_size emit_size(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	struct emit_size size;
	unsigned int unit = 0;

	for (; value >= 1000 && unit < 6; unit++)
		value /= 1024;
	/* Three digits round 999.6 to "1e+03"; qemu-img prints that too. */
	snprintf(size.text, sizeof(size.text), "%.3g %s", value, units[unit]);
	return size;
}

struct emit_size_exact emit_size_exact(uint64_t bytes)
{
	struct emit_size_exact exact;

	snprintf(exact.text, sizeof(exact.text), "%s (%" PRIu64 " bytes)", emit_size(bytes).text,
		 bytes);
	return exact;
}

static bool is_control(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0);
}

void emit_plain(FILE *stream, const char *text)
{
	for (; *text != '\0'; text++) {
		bool control = is_control(text);

		putc(control ? '?' : *text, stream);
		text += control && (unsigned char)*text == 0xc2;
	}
}
