// SPDX-License-Identifier: MIT
/* What was met already, by digest: many ways to crash leave the same bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crash/state.h"

struct known {
	uint64_t *digests; /* owned; 0: none here */
	size_t count, room;
};

void known_clear(struct known *k);
bool known_has(const struct known *k, uint64_t digest);
/* Adds it; whether it was there before. */
bool known_put(struct known *k, uint64_t digest);

/*
 * Whether the state, the data file beside it included, was added before with the same verdicts allowed;
 * from now on it was.
 */
bool known_add(struct known *k, const struct state *s, uint64_t allowed);
