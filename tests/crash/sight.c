// SPDX-License-Identifier: MIT
#include "crash/sight.h"

#include <string.h>

#include "base/checked.h"
#include "crash/must.h"
#include "crash/state.h"

static void begin_file(struct sight_file *f, uint64_t bytes)
{
	f->sectors = qc_div_up(bytes, SECTOR);
	must(qc_bitset_init(&f->seen, f->sectors) && qc_bitset_init(&f->changed, f->sectors));
}

void sight_begin(struct sight *sight, uint64_t image_bytes, uint64_t data_bytes)
{
	begin_file(&sight->files[0], image_bytes);
	begin_file(&sight->files[1], data_bytes);
}

void sight_clear(struct sight *sight)
{
	for (size_t i = 0; i < CRASH_FILES; i++) {
		qc_bitset_clear(&sight->files[i].seen);
		qc_bitset_clear(&sight->files[i].changed);
	}
	*sight = (struct sight){0};
}

void sight_restart(struct sight *sight)
{
	for (size_t i = 0; i < CRASH_FILES; i++)
		qc_bitset_remove_range(&sight->files[i].changed, 0, sight->files[i].sectors);
}

void sight_read(struct sight *sight, unsigned int file, uint64_t offset, uint64_t length)
{
	struct sight_file *f = &sight->files[file];
	uint64_t end = qc_min(qc_div_up(offset + length, SECTOR), f->sectors);

	for (uint64_t i = offset / SECTOR; i < end; i++)
		if (!qc_bitset_has(&f->changed, i))
			qc_bitset_add(&f->seen, i);
}

/* What becomes of a sector that is changed in part depends on all of it. */
static void see_border(struct sight *sight, unsigned int file, uint64_t at)
{
	if (at % SECTOR != 0)
		sight_read(sight, file, at, 1);
}

void sight_change(struct sight *sight, unsigned int file, uint64_t offset, uint64_t length)
{
	struct sight_file *f = &sight->files[file];
	uint64_t first = offset / SECTOR;
	uint64_t end = qc_min(qc_div_up(offset + length, SECTOR), f->sectors);

	see_border(sight, file, offset);
	see_border(sight, file, offset + length);
	if (first < end)
		qc_bitset_add_range(&f->changed, first, end - first);
}

/* What is cut off comes back, if at all, as zeroes; what was never there says nothing. */
void sight_resize(struct sight *sight, unsigned int file, uint64_t bytes)
{
	uint64_t end = sight->files[file].sectors * SECTOR;

	if (bytes < end)
		sight_change(sight, file, bytes, end - bytes);
}

static bool is_same_set(const struct qc_bitset *a, const struct qc_bitset *b)
{
	const size_t bytes = (size_t)qc_div_up(a->bits, 64) * sizeof(*a->words);

	return a->bits == b->bits && (bytes == 0 || memcmp(a->words, b->words, bytes) == 0);
}

bool sight_is_same(const struct sight *a, const struct sight *b)
{
	for (size_t i = 0; i < CRASH_FILES; i++)
		if (!is_same_set(&a->files[i].seen, &b->files[i].seen)
		    || !is_same_set(&a->files[i].changed, &b->files[i].changed))
			return false;
	return true;
}

/* A byte is never the same as before, nor off by what its neighbours are off by. */
static void garble_sector(uint64_t sector, struct image_bytes *bytes)
{
	uint64_t end = qc_min((sector + 1) * SECTOR, bytes->size);

	for (uint64_t i = sector * SECTOR; i < end; i++)
		bytes->bytes[i] ^= (uint8_t)(1 + i * 7 % 255);
}

void sight_garble(const struct sight *sight, unsigned int file, const struct qc_bitset *given,
		  struct image_bytes *bytes)
{
	const struct sight_file *f = &sight->files[file];

	for (uint64_t i = given ? 1 : 0; i < f->sectors; i++)
		if (!qc_bitset_has(&f->seen, i) && !(given && qc_bitset_has(given, i)))
			garble_sector(i, bytes);
}
