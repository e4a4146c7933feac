// SPDX-License-Identifier: MIT
#include "cmd/suggest.h"

#include <string.h>

#include "base/checked.h"

#define LENGTH_MAX 32u /* no name is longer */
#define START_LEAST 3u /* so much of a name's start means the name */

/*
 * How many letters must be put in, left out, replaced or swapped with their neighbour to make one word of
 * the other. Both are at most LENGTH_MAX long.
 */
static unsigned int distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned int row[LENGTH_MAX + 1][LENGTH_MAX + 1];

	for (unsigned int i = 0; i <= a_length; i++)
		row[i][0] = i;
	for (unsigned int j = 0; j <= b_length; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= a_length; i++)
		for (size_t j = 1; j <= b_length; j++) {
			unsigned int best = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (row[i - 1][j] + 1 < best)
				best = row[i - 1][j] + 1;
			if (row[i][j - 1] + 1 < best)
				best = row[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]
			    && row[i - 2][j - 2] + 1 < best)
				best = row[i - 2][j - 2] + 1;
			row[i][j] = best;
		}
	return row[a_length][b_length];
}

/* A third of the letters may be wrong; more would be a guess. */
void suggestion_init(struct suggestion *ret, const char *word, size_t length)
{
	*ret = (struct suggestion){.word = word, .length = length};
	ret->cost = (unsigned int)qc_max(1, qc_min(length, LENGTH_MAX) / 3) + 1;
}

void suggestion_offer(struct suggestion *suggestion, const char *name)
{
	size_t length = strlen(name);
	unsigned int cost;

	if (suggestion->length < 2 || suggestion->length > LENGTH_MAX || length > LENGTH_MAX)
		return;
	if (suggestion->length >= START_LEAST
	    && strncmp(suggestion->word, name, suggestion->length) == 0)
		cost = 0;
	else
		cost = distance(suggestion->word, suggestion->length, name, length);
	if (cost >= suggestion->cost)
		return;
	suggestion->cost = cost;
	suggestion->name = name;
}
