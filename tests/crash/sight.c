// SPDX-License-Identifier: MIT
#include "crash/sight.h"

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
