// SPDX-License-Identifier: MIT
/*
 * Which of some names a mistyped word may have meant.
 *
 *	struct suggestion suggestion;
 *
 *	suggestion_init(&suggestion, word, strlen(word));
 *	for each name
 *		suggestion_offer(&suggestion, name);
 *	if (suggestion.name) ...
 */
#pragma once

#include <stddef.h>

struct suggestion {
	const char *word; /* borrowed, `length` bytes of it */
	size_t length;
	const char *name;  /* the nearest so far, borrowed; NULL: none is near */
	unsigned int cost; /* how far away it is */
};

void suggestion_init(struct suggestion *ret, const char *word, size_t length);
void suggestion_offer(struct suggestion *suggestion, const char *name);
