// SPDX-License-Identifier: MIT
/*
 * Images whose data lies in another file, edits of them, and every crash of both files: their changes
 * stand in one log, each file is synced for itself, and either may lag behind the other.
 *
 * Here every state is judged slowly, unless an equal one was. It is recovered, as no bytes alone can say
 * what a state is that has something to redo, and then it must be the old or the new disk; before that,
 * too, unless there was something to redo. A raw data file must be the disk then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crash/campaign.h"

struct pair {
	struct image_bytes image, data;
};

struct pair_kind {
	const char *name;
	uint32_t cluster_bits, clusters;
	bool extended_l2, raw, backing;
	bool pending; /* the last transaction was broken off, and has something to redo */
};

extern const struct pair_kind pair_kinds[];
extern const size_t pair_kind_count;
extern const struct edit_kind pair_edits[];
extern const size_t pair_edit_count;

bool pair_fits(const struct edit_kind *edit, const struct pair_kind *kind);
void pair_build(const struct pair_kind *kind, struct pair *ret);
void pair_clear(struct pair *pair);

/* Puts both where edits find them, and takes them from there. */
void pair_put(const struct pair *pair);
void pair_get(struct pair *ret);

/* Like edit_bytes(). */
void pair_edit(const struct edit_kind *edit, uint32_t seed, struct pair *pair,
	       struct crash_log *log, struct sight *sight);

/* --- the judge --- */

struct pair_seen {
	const char *why; /* not NULL: it cannot be recovered */
	bool pending;	 /* there was something to redo */
	bool changed;	 /* there was not, and all the same recovery makes something else of it */
	bool doubtful;	 /* a person had to decide, and had it finished */
	struct content content; /* once it is recovered */
};

/* Recovers a copy of the two; *log (NULL: nothing) gets what is done to them. */
void pair_see(const struct state *s, struct crash_log *log, struct pair_seen *ret);
void pair_see_bytes(const struct pair *pair, struct crash_log *log, struct pair_seen *ret);

/* What pair_see() made of the last one. */
void pair_recovered(struct pair *ret);

/*
 * The image as a program sees it that knows nothing of journals; `data` may be another's. What is
 * read is told to `sight` (NULL: nobody).
 */
void pair_content(const struct image_bytes *image, const struct image_bytes *data,
		  struct sight *sight, struct content *ret);

/* The whole disk. */
void pair_disk(const struct pair *pair, struct image_bytes *ret);

/* --- the campaign --- */

struct pair_version {
	struct pair pair; /* settled */
	struct content content;
	size_t flip;	/* the operation that makes it, if it is not the first */
	size_t gone_at; /* once that many operations are durable it cannot be this one */
};

struct pair_campaign {
	const struct pair_kind *kind;
	const struct edit_kind *edit;
	const char *name;
	const char *save_folder;
	struct tally *tally;
	struct pair base;
	struct crash_log log;
	struct pair_version versions[VERSIONS_MAX];
	size_t version_count;
	struct later_memory later;
	struct known settled; /* recovered images that qemu-img check has seen */
	uint64_t event;	      /* number of the state or fault that is being tried */
	uint64_t wanted;      /* the one to be shown; 0: none */
	unsigned int failures;
	bool quick;
};

/* Everything that is tried of the pair: c->kind, edit, name, tally and how are given. */
void pair_run(struct pair_campaign *c);

/* The parts of it. */
void pair_crashes(struct pair_campaign *c);
void pair_kills(struct pair_campaign *c);
void pair_torn_headers(struct pair_campaign *c);
void pair_false_journals(struct pair_campaign *c);
void pair_faults(struct pair_campaign *c);

/*
 * What comes later meets the state, which is that version, and becomes `settled` when it is recovered.
 * `pending`: until then something is to be redone. `first`: only one crash has come so far.
 */
void pair_later(struct pair_campaign *c, const struct state *s, const struct pair_version *v,
		const struct pair *settled, bool pending, bool first);

/* `qemu-img check` looks at one in a hundred of those that were recovered and are no such state. */
void pair_check(struct pair_campaign *c, const struct pair *pair);

/* Whether the state that is being judged is one of the sample that has one of `every` states. */
bool pair_samples(const struct pair_campaign *c, uint64_t every);

/* The two as a state that can be changed, `s` being the image; room is for that log. */
void pair_state_init(struct state *s, struct state *data, const struct pair *from,
		     const struct crash_log *log);
void pair_state_clear(struct state *s, struct state *data);
void pair_take(struct pair *ret, const struct state *s);

/* Counts a failure in *counter, says so, and saves how to get there. */
void pair_fail(struct pair_campaign *c, uint64_t *counter, const char *what);
