// SPDX-License-Identifier: MIT
#include "crash/known.h"

#include <xxhash.h>

#include "crash/must.h"

#define ROOM_FIRST ((size_t)1 << 12) /* a power of two, as are all that follow */

void known_clear(struct known *k)
{
	free(k->digests);
	*k = (struct known){0};
}

static uint64_t digest_of(const struct state *s, uint64_t seed)
{
	return XXH3_64bits_withSeed(s->bytes, (size_t)s->size, seed ^ s->size);
}

/* Where it is, or where it would be. */
static size_t find(const struct known *k, uint64_t digest)
{
	size_t at = (size_t)digest & (k->room - 1);

	while (k->digests[at] != 0 && k->digests[at] != digest)
		at = (at + 1) & (k->room - 1);
	return at;
}

static void make_room(struct known *k)
{
	struct known larger = {.count = k->count, .room = k->room ? 2 * k->room : ROOM_FIRST};

	if (2 * k->count < k->room)
		return;
	larger.digests = calloc(larger.room, sizeof(*larger.digests));
	must(larger.digests);
	for (size_t i = 0; i < k->room; i++)
		if (k->digests[i] != 0)
			larger.digests[find(&larger, k->digests[i])] = k->digests[i];
	free(k->digests);
	*k = larger;
}

/* Zero is what an empty place holds. */
static uint64_t as_kept(uint64_t digest)
{
	return digest | 1;
}

bool known_has(const struct known *k, uint64_t digest)
{
	return k->room > 0 && k->digests[find(k, as_kept(digest))] != 0;
}

bool known_put(struct known *k, uint64_t digest)
{
	size_t at;

	make_room(k);
	at = find(k, as_kept(digest));
	if (k->digests[at] != 0)
		return true;
	k->digests[at] = as_kept(digest);
	k->count++;
	return false;
}

bool known_add(struct known *k, const struct state *s, uint64_t allowed)
{
	uint64_t digest = digest_of(s, allowed);

	return known_put(k, s->beside ? digest_of(s->beside, digest) : digest);
}
