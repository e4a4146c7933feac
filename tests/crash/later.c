// SPDX-License-Identifier: MIT
#include "crash/later.h"

#include <time.h>

#include "crash/must.h"

const char *const later_names[LATERS] = {
	[LATER_EDIT] = "another edit",
	[LATER_AGAIN] = "the same edit again, if it is one that ends the same",
	[LATER_GUEST] = "`qemu-io` writes",
	[LATER_CHECK] = "`qemu-img check`",
};

const char later_otherwise[] = "who cannot tell it from another state does something else";

struct later_outcome {
	enum later later;
	uint64_t digest;
	struct content content;
};

void later_clear(struct later_memory *memory)
{
	for (size_t i = 0; i < LATERS; i++)
		shown_clear(&memory->shown[i]);
	free(memory->outcomes);
	*memory = (struct later_memory){0};
}

uint64_t later_now_usec(void)
{
	struct timespec t;

	must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

const struct content *later_outcome(const struct later_memory *memory, enum later later,
				    uint64_t digest)
{
	for (size_t i = 0; i < memory->count; i++)
		if (memory->outcomes[i].later == later && memory->outcomes[i].digest == digest)
			return &memory->outcomes[i].content;
	return NULL;
}

const struct content *later_set_outcome(struct later_memory *memory, enum later later,
					uint64_t digest, const struct content *content)
{
	size_t count = memory->count++;

	memory->outcomes = realloc(memory->outcomes, memory->count * sizeof(*memory->outcomes));
	must(memory->outcomes);
	memory->outcomes[count] = (struct later_outcome){later, digest, *content};
	return &memory->outcomes[count].content;
}
