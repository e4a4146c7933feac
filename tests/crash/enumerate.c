// SPDX-License-Identifier: MIT
#include "crash/enumerate.h"

#include <string.h>

#include "base/checked.h"
#include "crash/must.h"

#define GARBAGE 0xa5

const char *crash_size_name(enum crash_size size)
{
	static const char *const names[] = {"as-written", "ahead-zero", "ahead-garbage", "behind"};

	return names[size];
}

/* The size of a file after an operation on whichever. */
static uint64_t size_after(const struct crash_op *op, unsigned int file, uint64_t size)
{
	if (op->file != file)
		return size;
	if (op->kind == CRASH_WRITE)
		return qc_max(size, op->offset + op->length);
	return op->kind == CRASH_RESIZE ? op->length : size;
}

uint64_t crash_log_room_of(const struct crash_log *log, unsigned int file, uint64_t size)
{
	uint64_t room = size;

	for (size_t i = 0; i < log->count; i++) {
		size = size_after(&log->ops[i], file, size);
		room = qc_max(room, size);
	}
	return room;
}

uint64_t crash_log_room(const struct crash_log *log, uint64_t size)
{
	return crash_log_room_of(log, 0, size);
}

static struct state *file_of(struct state *s, unsigned int file)
{
	must(file == 0 || s->beside);
	return file == 0 ? s : s->beside;
}

static uint64_t longest(const struct crash_log *log, const size_t *doubt, size_t count,
			unsigned int file, uint64_t size)
{
	uint64_t most = size;

	for (size_t i = 0; i < count; i++) {
		size = size_after(&log->ops[doubt[i]], file, size);
		most = qc_max(most, size);
	}
	return most;
}

/* --- one operation --- */

/* How many sectors the operation touches; less than two: it cannot be torn. */
static uint64_t op_sectors(const struct crash_op *op)
{
	if (op->kind != CRASH_WRITE && op->kind != CRASH_PUNCH)
		return 1;
	return qc_div_up(op->offset + op->length, SECTOR) - op->offset / SECTOR;
}

/* Applies sectors [from, to) of the operation, or all of it. */
static void apply(struct state *s, const struct crash_op *op, uint64_t from, uint64_t to,
		  enum crash_size mode)
{
	uint64_t base = qc_align_down(op->offset, SECTOR);
	uint64_t low = qc_max(op->offset, base + from * SECTOR);
	uint64_t high = op->offset + op->length;

	if (op->kind == CRASH_SYNC)
		return;
	s = file_of(s, op->file);
	if (op->kind == CRASH_RESIZE) {
		if (op->length < s->size || mode == CRASH_SIZE_AS_WRITTEN)
			state_resize(s, op->length);
		return;
	}
	if (to < op_sectors(op))
		high = qc_min(high, base + to * SECTOR);
	if (mode == CRASH_SIZE_BEHIND || op->kind == CRASH_PUNCH)
		high = qc_min(high, s->size);
	if (low >= high)
		return;
	if (op->kind == CRASH_PUNCH)
		state_fill(s, low, high - low, 0);
	else
		state_write(s, low, high - low, op->bytes + (low - op->offset));
}

static void apply_whole(struct state *s, const struct crash_op *op, enum crash_size mode)
{
	apply(s, op, 0, UINT64_MAX, mode);
}

/* What a file's length brings along before any of the doubted operations. */
static void apply_size(struct state *s, const struct crash_log *log, const size_t *doubt,
		       size_t count, enum crash_size mode)
{
	if (mode != CRASH_SIZE_AHEAD_ZERO && mode != CRASH_SIZE_AHEAD_GARBAGE)
		return;
	for (unsigned int file = 0; file < (s->beside ? 2u : 1u); file++) {
		struct state *f = file_of(s, file);
		uint64_t durable = f->size, most = longest(log, doubt, count, file, durable);

		state_resize(f, most);
		if (mode == CRASH_SIZE_AHEAD_GARBAGE)
			state_fill(f, durable, most - durable, GARBAGE);
	}
}

void crash_apply(struct state *s, const struct crash_op *op)
{
	apply_whole(s, op, CRASH_SIZE_AS_WRITTEN);
}

void crash_make_whole(struct state *s, const struct crash_log *log, size_t count)
{
	for (size_t i = 0; i < count; i++)
		apply_whole(s, &log->ops[i], CRASH_SIZE_AS_WRITTEN);
}

void crash_make(struct state *s, const struct crash_log *log, const struct crash_spec *spec)
{
	size_t *doubt = calloc(spec->issued + 1, sizeof(*doubt));
	size_t count, next = 0;

	must(doubt);
	count = crash_log_doubt(log, spec->issued, doubt);
	must(count == spec->doubted);
	for (size_t i = 0; i < spec->issued; i++)
		if (next < count && doubt[next] == i)
			next++;
		else
			apply_whole(s, &log->ops[i], CRASH_SIZE_AS_WRITTEN);
	apply_size(s, log, doubt, count, spec->size);
	for (size_t i = 0; i < count; i++) {
		const struct crash_op *op = &log->ops[doubt[i]];

		if (spec->torn == i)
			apply(s, op, spec->torn_from, spec->torn_to, spec->size);
		else if (spec->present[i] && spec->late != i)
			apply_whole(s, op, spec->size);
	}
	if (spec->late != STATE_NONE)
		apply_whole(s, &log->ops[doubt[spec->late]], spec->size);
	free(doubt);
}

/* --- one stretch --- */

struct stretch {
	struct crash_run *run;
	const size_t *doubt; /* indices of operations */
	size_t count;
	struct crash_spec *spec;
	uint64_t random;
};

static bool judge(struct stretch *t)
{
	return t->run->judge(t->run->context, t->run->state, t->spec);
}

static const struct crash_op *op_at(const struct stretch *t, size_t i)
{
	return &t->run->log->ops[t->doubt[i]];
}

static uint64_t next_random(struct stretch *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static void take(struct stretch *t, size_t i)
{
	t->spec->present[i] = true;
	apply_whole(t->run->state, op_at(t, i), t->spec->size);
}

/* Near both ends of the operation each sector border is tried, and between them one in eight. */
static bool is_left_out(const struct stretch *t, uint64_t cut, uint64_t sectors)
{
	return t->run->few_tears && cut > 4 && cut + 4 < sectors && cut % 8 != 0;
}

/* The parts of operation i while those before it are as they are, and those after all or none. */
static bool tear(struct stretch *t, size_t i, bool with_rest)
{
	struct state *s = t->run->state;
	uint64_t sectors = op_sectors(op_at(t, i));
	bool go = true;

	if (t->run->no_tears)
		return true;
	t->spec->torn = i;
	for (uint64_t part = 0; go && part < 2 * (sectors - 1); part++) {
		size_t mark = state_mark(s);
		uint64_t cut = part / 2 + 1;

		if (is_left_out(t, cut, sectors))
			continue;
		t->spec->torn_from = part % 2 ? cut : 0;
		t->spec->torn_to = part % 2 ? sectors : cut;
		apply(s, op_at(t, i), t->spec->torn_from, t->spec->torn_to, t->spec->size);
		for (size_t j = i + 1; with_rest && j < t->count; j++)
			take(t, j);
		go = judge(t);
		state_rewind(s, mark);
	}
	for (size_t j = i + 1; j < t->count; j++)
		t->spec->present[j] = false;
	t->spec->torn = STATE_NONE;
	return go;
}

/* Each prefix, and what follows it torn. */
static bool prefixes(struct stretch *t)
{
	size_t mark = state_mark(t->run->state);
	bool go = true;

	for (size_t i = 0; go && i <= t->count; i++) {
		go = judge(t);
		if (i == t->count)
			break;
		go = go && tear(t, i, false) && tear(t, i, true);
		take(t, i);
	}
	state_rewind(t->run->state, mark);
	memset(t->spec->present, 0, t->count);
	return go;
}

/* All 2^n subsets, as the leaves of a tree: one operation done and undone for each on average. */
static bool subsets(struct stretch *t, size_t i)
{
	size_t mark = state_mark(t->run->state);
	bool go;

	if (i == t->count)
		return judge(t);
	if (!subsets(t, i + 1))
		return false;
	take(t, i);
	go = subsets(t, i + 1);
	t->spec->present[i] = false;
	state_rewind(t->run->state, mark);
	return go;
}

static bool all_but_one(struct stretch *t)
{
	size_t start = state_mark(t->run->state);
	bool go = true;

	for (size_t i = 0; go && i < t->count; i++) {
		size_t mark = state_mark(t->run->state);

		for (size_t j = i + 1; j < t->count; j++)
			take(t, j);
		go = judge(t);
		state_rewind(t->run->state, mark);
		memset(t->spec->present + i, 0, t->count - i);
		take(t, i);
	}
	state_rewind(t->run->state, start);
	memset(t->spec->present, 0, t->count);
	return go;
}

static bool one_alone(struct stretch *t)
{
	bool go = true;

	for (size_t i = 0; go && i < t->count; i++) {
		size_t mark = state_mark(t->run->state);

		go = tear(t, i, false);
		take(t, i);
		go = go && judge(t);
		state_rewind(t->run->state, mark);
		t->spec->present[i] = false;
	}
	return go;
}

static bool random_subsets(struct stretch *t)
{
	uint64_t many = t->run->random_states * SUBSET_OPS_MAX / t->count;
	bool go = true;

	for (uint64_t n = 0; go && n < many; n++) {
		size_t mark = state_mark(t->run->state);
		uint64_t bits = 0, odds = next_random(t) % 7 + 1;

		for (size_t i = 0; i < t->count; i++) {
			if (i % 16 == 0)
				bits = next_random(t);
			if ((bits >> i % 16 * 3 & 7) < odds)
				take(t, i);
		}
		go = judge(t);
		state_rewind(t->run->state, mark);
		memset(t->spec->present, 0, t->count);
	}
	return go;
}

/* Whether anything is written after operation i to what it touches. */
static bool is_written_over(const struct stretch *t, size_t i)
{
	const struct crash_op *op = op_at(t, i);

	for (size_t j = i + 1; j < t->count; j++) {
		const struct crash_op *later = op_at(t, j);

		if (later->kind == CRASH_WRITE && later->file == op->file
		    && later->offset < op->offset + op->length
		    && op->offset < later->offset + later->length)
			return true;
	}
	return false;
}

/* Space is given back when the storage finds the time. */
static bool late_punches(struct stretch *t)
{
	size_t mark = state_mark(t->run->state);
	bool go = true;

	for (size_t i = 0; go && i < t->count; i++) {
		if (op_at(t, i)->kind != CRASH_PUNCH || !is_written_over(t, i))
			continue;
		for (size_t j = 0; j < t->count; j++)
			if (j != i)
				take(t, j);
		take(t, i);
		t->spec->late = i;
		go = judge(t);
		t->spec->late = STATE_NONE;
		state_rewind(t->run->state, mark);
		memset(t->spec->present, 0, t->count);
	}
	return go;
}

/* Takes the operations of a file up to and including i; false if that one is not the file's. */
static bool take_file(struct stretch *t, unsigned int file, size_t i)
{
	if (op_at(t, i)->file != file)
		return false;
	for (size_t j = 0; j <= i; j++)
		if (op_at(t, j)->file == file)
			take(t, j);
	return true;
}

/* The storage of either file may be ahead of the other's: the prefixes of both, without the empty ones. */
static bool two_prefixes(struct stretch *t)
{
	size_t mark = state_mark(t->run->state);
	bool go = true;

	for (size_t i = 0; go && i < t->count; i++)
		for (size_t j = 0; go && j < t->count; j++) {
			if (take_file(t, 0, i) && take_file(t, 1, j))
				go = judge(t);
			state_rewind(t->run->state, mark);
			memset(t->spec->present, 0, t->count);
		}
	return go;
}

static bool with_size(struct stretch *t, enum crash_size size)
{
	struct state *s = t->run->state;
	size_t mark = state_mark(s);
	bool go;

	t->spec->size = size;
	apply_size(s, t->run->log, t->doubt, t->count, size);
	go = prefixes(t) && one_alone(t) && late_punches(t);
	if (t->count <= SUBSET_OPS_MAX)
		go = go && subsets(t, 0);
	else
		go = go && all_but_one(t) && random_subsets(t);
	if (s->beside && t->count > SUBSET_OPS_MAX)
		go = go && two_prefixes(t);
	state_rewind(s, mark);
	return go;
}

static bool grows(const struct stretch *t)
{
	struct state *s = t->run->state;

	for (unsigned int file = 0; file < (s->beside ? 2u : 1u); file++)
		if (longest(t->run->log, t->doubt, t->count, file, file_of(s, file)->size)
		    > file_of(s, file)->size)
			return true;
	return false;
}

/* A crash after `end` operations, the first `durable` of which, if they are the image's, are safe. */
static bool one_stretch(struct crash_run *run, struct crash_spec *spec, size_t durable, size_t end)
{
	size_t *doubt = calloc(end + 1, sizeof(*doubt));
	struct stretch t = {.run = run, .doubt = doubt, .spec = spec};
	bool go = true;
	int sizes;

	must(doubt);
	t.count = crash_log_doubt(run->log, end, doubt);
	must(t.count <= DOUBT_MAX);
	t.random = (run->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + durable;
	*spec = (struct crash_spec){.issued = end,
				    .durable = durable,
				    .doubted = t.count,
				    .torn = STATE_NONE,
				    .late = STATE_NONE};
	sizes = grows(&t) ? CRASH_SIZE_COUNT : 1;
	for (int size = 0; go && size < sizes; size++)
		go = with_size(&t, (enum crash_size)size);
	free(doubt);
	return go;
}

/* The sync at `at` makes durable what its file was given since its last one. */
static void apply_durable(struct crash_run *run, size_t first, size_t at)
{
	for (size_t i = first; i < at; i++)
		if (run->log->ops[i].file == run->log->ops[at].file)
			apply_whole(run->state, &run->log->ops[i], CRASH_SIZE_AS_WRITTEN);
}

bool crash_enumerate(struct crash_run *run)
{
	struct crash_spec *spec = malloc(sizeof(*spec));
	size_t start = state_mark(run->state), durable[CRASH_FILES] = {0}, end = 0;
	bool go = true;

	must(spec);
	for (;;) {
		end = crash_log_sync(run->log, end);
		if (end >= run->from)
			go = one_stretch(run, spec, durable[0], end);
		if (!go || end == run->log->count)
			break;
		apply_durable(run, durable[run->log->ops[end].file], end);
		durable[run->log->ops[end].file] = end + 1;
		end++;
	}
	state_rewind(run->state, start);
	free(spec);
	return go;
}
