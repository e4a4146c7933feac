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

/* The file size after an operation. */
static uint64_t size_after(const struct crash_op *op, uint64_t size)
{
	if (op->kind == CRASH_WRITE)
		return qc_max(size, op->offset + op->length);
	return op->kind == CRASH_RESIZE ? op->length : size;
}

uint64_t crash_log_room(const struct crash_log *log, uint64_t size)
{
	uint64_t room = size;

	for (size_t i = 0; i < log->count; i++) {
		size = size_after(&log->ops[i], size);
		room = qc_max(room, size);
	}
	return room;
}

static uint64_t longest(const struct crash_log *log, size_t first, size_t end, uint64_t size)
{
	uint64_t most = size;

	for (size_t i = first; i < end; i++) {
		size = size_after(&log->ops[i], size);
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

/* What the file's length brings along before any of the doubted operations. */
static void apply_size(struct state *s, const struct crash_log *log, size_t first, size_t end,
		       enum crash_size mode)
{
	uint64_t durable = s->size, most = longest(log, first, end, durable);

	if (mode != CRASH_SIZE_AHEAD_ZERO && mode != CRASH_SIZE_AHEAD_GARBAGE)
		return;
	state_resize(s, most);
	if (mode == CRASH_SIZE_AHEAD_GARBAGE)
		state_fill(s, durable, most - durable, GARBAGE);
}

void crash_make(struct state *s, const struct crash_log *log, const struct crash_spec *spec)
{
	for (size_t i = 0; i < spec->durable; i++)
		apply_whole(s, &log->ops[i], CRASH_SIZE_AS_WRITTEN);
	apply_size(s, log, spec->durable, spec->durable + spec->doubted, spec->size);
	for (size_t i = 0; i < spec->doubted; i++) {
		const struct crash_op *op = &log->ops[spec->durable + i];

		if (spec->torn == i)
			apply(s, op, spec->torn_from, spec->torn_to, spec->size);
		else if (spec->present[i])
			apply_whole(s, op, spec->size);
	}
}

/* --- one stretch --- */

struct stretch {
	struct crash_run *run;
	const struct crash_op *ops;
	size_t count;
	struct crash_spec *spec;
	uint64_t random;
};

static bool judge(struct stretch *t)
{
	return t->run->judge(t->run->context, t->run->state, t->spec);
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
	apply_whole(t->run->state, &t->ops[i], t->spec->size);
}

/* The parts of operation i while those before it are as they are, and those after all or none. */
static bool tear(struct stretch *t, size_t i, bool with_rest)
{
	struct state *s = t->run->state;
	uint64_t sectors = op_sectors(&t->ops[i]);
	bool go = true;

	if (t->run->no_tears)
		return true;
	t->spec->torn = i;
	for (uint64_t part = 0; go && part < 2 * (sectors - 1); part++) {
		size_t mark = state_mark(s);

		t->spec->torn_from = part % 2 ? part / 2 + 1 : 0;
		t->spec->torn_to = part % 2 ? sectors : part / 2 + 1;
		apply(s, &t->ops[i], t->spec->torn_from, t->spec->torn_to, t->spec->size);
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

static bool with_size(struct stretch *t, enum crash_size size)
{
	struct state *s = t->run->state;
	size_t mark = state_mark(s);
	bool go;

	t->spec->size = size;
	apply_size(s, t->run->log, t->spec->durable, t->spec->durable + t->count, size);
	go = prefixes(t) && one_alone(t);
	if (t->count <= SUBSET_OPS_MAX)
		go = go && subsets(t, 0);
	else
		go = go && all_but_one(t) && random_subsets(t);
	state_rewind(s, mark);
	return go;
}

static bool one_stretch(struct crash_run *run, struct crash_spec *spec, size_t first, size_t end)
{
	struct stretch t = {run, run->log->ops + first, end - first, spec, 0};
	bool grows = longest(run->log, first, end, run->state->size) > run->state->size;

	must(t.count <= DOUBT_MAX);
	t.random = (run->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + first;
	*spec = (struct crash_spec){.durable = first, .doubted = t.count, .torn = STATE_NONE};
	for (int size = 0; size < (grows ? CRASH_SIZE_COUNT : 1); size++)
		if (!with_size(&t, (enum crash_size)size))
			return false;
	return true;
}

bool crash_enumerate(struct crash_run *run)
{
	struct crash_spec *spec = malloc(sizeof(*spec));
	size_t start = state_mark(run->state), first = 0, end;
	bool go = true;

	must(spec);
	while (go && first <= run->log->count) {
		end = crash_log_sync(run->log, first);
		if (end >= run->from)
			go = one_stretch(run, spec, first, end);
		if (end == run->log->count)
			break;
		for (; first <= end; first++)
			apply_whole(run->state, &run->log->ops[first], CRASH_SIZE_AS_WRITTEN);
	}
	state_rewind(run->state, start);
	free(spec);
	return go;
}
