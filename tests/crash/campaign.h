// SPDX-License-Identifier: MIT
/*
 * One edit of one image under every crash. Each state is judged by the fast judge, and met by what
 * comes later: another edit, a guest of QEMU's, qemu-img check. Of a sample the slow judge reads
 * everything and checks the image, and both must agree; the sample is recovered, which must change
 * nothing that can be seen and leave no journal, and crashes during that recovery are tried in turn.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crash/buffer_file.h"
#include "crash/enumerate.h"
#include "crash/later.h"
#include "crash/scenario.h"

struct tally {
	uint64_t states; /* judged, of all kinds */
	uint64_t nested; /* of these: crashes during or after the recovery from a crash */
	uint64_t full;	 /* read and checked as a whole */
	uint64_t recovered;
	uint64_t met[LATERS];	/* by what came later, or the same to it as one that was */
	uint64_t tried[LATERS]; /* runs of it, those of versions not counted */
	uint64_t later_usec;	/* processor time of this process for these */
	uint64_t faults;
	uint64_t torn_headers, torn_doubtful, false_journals;
	uint64_t compared;		      /* by qemu-img compare */
	uint64_t torn, leaked, corrupt, lost; /* what must stay 0 */
	uint64_t disagreed;		      /* between fast judge, slow judge and recovery */
};

static inline uint64_t tally_bad(const struct tally *t)
{
	return t->torn + t->leaked + t->corrupt + t->lost + t->disagreed;
}

struct campaign {
	const struct image_kind *image;
	const struct edit_kind *edit;
	struct crash_log log;			   /* of the edit */
	struct image_bytes versions[VERSIONS_MAX]; /* as it was, and after each commit */
	size_t version_count;
	size_t flips[VERSIONS_MAX]; /* the operations that make the next one of each */
	struct tally *tally;
	const char *save_folder; /* where failing states go; NULL: nowhere */
	const char *name;	 /* "image/edit", for messages and file names */
	uint64_t sample;	 /* one state of so many is looked at closely, and fewer later on */
	uint64_t compare_sample; /* and one of so many of those compared by QEMU */
	uint64_t random_states;
	bool quick; /* fewer tears and nested crashes */
	bool large; /* the image is: copies of it are what takes the time, so fewer are made */
	unsigned int saved;
	struct later_memory later;
};

void campaign_open(struct campaign *c, const struct image_kind *image,
		   const struct edit_kind *edit);
void campaign_close(struct campaign *c);

/* The crashes of the edit itself. */
void campaign_crashes(struct campaign *c);

/* Killed anywhere, recovered or edited further by the next process, and then the power fails. */
void campaign_kills(struct campaign *c);

/* Each call and each request for memory fails, in every way that they can. */
void campaign_faults(struct campaign *c);

/* Sector 0 torn inside, and journals that are not to be believed. */
void campaign_torn_headers(struct campaign *c);
void campaign_false_journals(struct campaign *c);

/* --- what the parts share --- */

/* A run of states: what crash_enumerate() calls back with. */
struct run_context {
	struct campaign *campaign;
	const struct image_bytes *base; /* where the log starts */
	const struct crash_log *log;
	unsigned int depth; /* crashes before this one */
};

/* Enumerates the log from stretch `from` on; the versions are in the state already. */
void campaign_enumerate(struct run_context *run, struct state *state, size_t from, bool tears);

/* The crash_run callback: judges the state fast, and a sample of states closely. */
bool campaign_judge(void *context, struct state *s, const struct crash_spec *spec);

/* Reads, checks and recovers a state that the fast judge took for version v. */
void campaign_look(struct run_context *run, struct state *s, const struct crash_spec *spec,
		   size_t v);

/*
 * What comes later meets the state, which is version v: it is done, or was done to one that it
 * cannot tell from this one. `qemu-img check` looks at one in c->sample anyway.
 */
void campaign_later(struct run_context *run, struct state *s, const struct crash_spec *spec,
		    size_t v);

/* Likewise an image that was recovered and is no such state. False: it objects. */
bool campaign_check(struct campaign *c, struct buffer_file *file);

/* Whether the state that is being judged is one of the sample that has one of `every` states. */
bool campaign_samples(const struct campaign *c, uint64_t every);

/*
 * Allows the state all versions that exist once the first `issued` operations of the edit were
 * issued. `log` begins with those, and goes on somehow.
 */
void campaign_add_versions(const struct campaign *c, struct state *s, const struct crash_log *log,
			   size_t issued);

/* What can be done next to an image that holds this: anything, or the same that is to repair it. */
const struct edit_kind *campaign_next_edit(const struct campaign *c, const struct content *content);

/* Counts a failure in *counter, says so, and saves the state. */
void campaign_fail(struct run_context *run, const struct state *s, const struct crash_spec *spec,
		   uint64_t *counter, const char *what);

/* Recovers the image; false, with a reason, if that fails or leaves a journal. */
bool recover_once(struct qc_file *file, struct crash_log *log, const char **ret_why);
