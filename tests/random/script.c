// SPDX-License-Identifier: MIT
#include "random/script.h"

#include <ctype.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random/sparse.h"

#define SHORT_BYTES 48 /* the most that is spelled out in a script */

struct script {
	struct scene *scene;
	struct rng *rng;
	FILE *stream;
	const char *next;
	uint64_t at;	 /* where a patch without a place of its own goes */
	uint64_t budget; /* bytes that may still be written */
	bool grow;
};

/* --- spelling --- */

/* The same number in one of the ways that the size grammar knows. */
static void put_number(struct script *script, uint64_t number)
{
	static const char suffixes[] = "bkMG";
	unsigned int power = (unsigned int)rng_below(script->rng, 4);

	if (number % (UINT64_C(1) << 10 * power) == 0 && rng_chance(script->rng, 40))
		fprintf(script->stream, "%" PRIu64 "%c", number >> 10 * power, suffixes[power]);
	else
		fprintf(script->stream, rng_chance(script->rng, 40) ? "0x%" PRIx64 : "%" PRIu64,
			number);
}

static void put_end(struct script *script)
{
	if (rng_chance(script->rng, 5))
		fputs(" # a comment", script->stream);
	else if (rng_chance(script->rng, 20)) {
		fputc(' ', script->stream);
		return;
	}
	fputc('\n', script->stream);
}

static void put_place(struct script *script, uint64_t at)
{
	if (at == script->at && rng_chance(script->rng, 80))
		return;
	fputs("at ", script->stream);
	put_number(script, at);
	fputc(rng_chance(script->rng, 80) ? ' ' : '\n', script->stream);
	script->at = at;
}

static void put_digits(struct script *script, const char *word, const uint8_t *bytes, size_t length)
{
	fprintf(script->stream, "%s ", word);
	for (size_t i = 0; i < length; i++) {
		fprintf(script->stream, rng_chance(script->rng, 50) ? "%02x" : "%02X", bytes[i]);
		if (rng_chance(script->rng, 15))
			fputc(' ', script->stream);
	}
	put_end(script);
}

static void put_quoted(struct script *script, const uint8_t *bytes, size_t length)
{
	fputs("text \"", script->stream);
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			fprintf(script->stream, "\\%c", bytes[i]);
		else if (bytes[i] >= ' ' && bytes[i] < 0x7f)
			fputc(bytes[i], script->stream);
		else
			fprintf(script->stream, "\\x%02x", bytes[i]);
	}
	fputc('"', script->stream);
	put_end(script);
}

/* --- patches --- */

/* What lies past the end of the model is zero until it is written. */
static void reach(struct script *script, uint64_t end)
{
	if (end > sparse_bytes(script->next))
		sparse_resize(script->next, end);
}

static void add_short(struct script *script, uint64_t at, size_t length)
{
	uint8_t bytes[SHORT_BYTES];

	rng_fill(script->rng, bytes, length);
	put_place(script, at);
	switch (rng_below(script->rng, 3)) {
	case 0:
		put_digits(script, "hex", bytes, length);
		break;
	case 1:
		put_quoted(script, bytes, length);
		break;
	default:
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)('a' + bytes[i] % 26);
		fprintf(script->stream, "text %.*s\n", (int)length, (const char *)bytes);
		break;
	}
	sparse_write(script->next, at, bytes, length);
}

static void add_bytes(struct script *script, uint64_t at, uint64_t length)
{
	uint8_t fill = (uint8_t)rng_next(script->rng);

	if (length <= SHORT_BYTES) {
		add_short(script, at, (size_t)length);
		return;
	}
	put_place(script, at);
	if (rng_chance(script->rng, 70)) {
		fprintf(script->stream, "file data-%u",
			scene_data(script->scene, script->next, at, length));
	} else {
		if (rng_chance(script->rng, 20))
			fill = 0;
		fprintf(script->stream, "fill %u:", fill);
		put_number(script, length);
		sparse_fill(script->next, at, fill, length);
	}
	put_end(script);
}

static void add_zeroes(struct script *script, uint64_t at, uint64_t length)
{
	put_place(script, at);
	fputs(rng_chance(script->rng, 50) ? "zero " : "discard ", script->stream);
	put_number(script, length);
	put_end(script);
	reach(script, at + length);
	sparse_zero(script->next, at, length);
}

/* Expectations are about the disk as it was before the script. */
static void add_expectation(struct script *script, bool holds)
{
	uint64_t disk = sparse_bytes(MODEL);
	uint64_t length = rng_between(script->rng, 1, 16);
	uint64_t at = rng_below(script->rng, disk - length);
	uint8_t bytes[16];

	sparse_read(MODEL, at, bytes, (size_t)length);
	if (!holds)
		bytes[rng_below(script->rng, length)] ^= (uint8_t)rng_between(script->rng, 1, 255);
	put_place(script, at);
	put_digits(script, "expect", bytes, (size_t)length);
}

/* Past the end, by a little or by a few clusters or L2 tables; the disk at most doubles. */
static void place_past_end(struct script *script, uint64_t *at, uint64_t *length)
{
	uint64_t disk = sparse_bytes(MODEL), gap = scene_cluster_bytes(script->scene) * 3;

	if (rng_chance(script->rng, 20))
		gap = scene_table_bytes(script->scene) * 2;
	if (gap > disk)
		gap = disk;
	*at = disk - rng_below(script->rng, 16) + rng_below(script->rng, gap);
	if (*length > disk)
		*length = disk;
}

static void add_patch(struct script *script)
{
	uint64_t disk = sparse_bytes(MODEL), most = script->budget, at, length;
	bool zeroes = rng_chance(script->rng, 35);

	if (zeroes)
		most = disk;
	scene_place(script->scene, most, &at, &length);
	if (zeroes && rng_chance(script->rng, 4))
		length = rng_between(script->rng, 1, disk - at);
	if (script->grow && rng_chance(script->rng, 15))
		place_past_end(script, &at, &length);
	else if (rng_chance(script->rng, 10) && script->at + length <= disk)
		at = script->at;
	if (zeroes) {
		add_zeroes(script, at, length);
	} else {
		add_bytes(script, at, length);
		script->budget -= length < script->budget ? length : script->budget;
	}
	script->at = at + length;
}

static void add_ending(struct script *script, enum script_ending ending)
{
	uint64_t disk = sparse_bytes(MODEL);

	if (ending == SCRIPT_ENDS_UNEXPECTED)
		add_expectation(script, false);
	if (ending != SCRIPT_ENDS_PAST_THE_DISK)
		return;
	put_place(script, disk - rng_below(script->rng, 8));
	if (rng_chance(script->rng, 50))
		put_digits(script, "hex", (const uint8_t *)"too long", 8);
	else
		fputs("zero 64k\n", script->stream);
}

void script_make(struct scene *scene, const char *path, const char *next, unsigned int patches,
		 bool grow, enum script_ending ending)
{
	struct script script = {
		.scene = scene,
		.rng = &scene->rng,
		.next = next,
		.budget = 3 * scene->most_bytes,
		.grow = grow,
	};

	script.stream = fopen(path, "we");
	if (!script.stream)
		err(2, "%s", path);
	while (patches-- > 0) {
		if (rng_chance(script.rng, 4))
			add_expectation(&script, true);
		add_patch(&script);
	}
	add_ending(&script, ending);
	if (fclose(script.stream) != 0)
		err(2, "%s", path);
	if (sparse_bytes(next) % 512 != 0)
		sparse_resize(next, sparse_bytes(next) + 512 - sparse_bytes(next) % 512);
}
