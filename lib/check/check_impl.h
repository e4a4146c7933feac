// SPDX-License-Identifier: MIT
/* What the parts of the check share; nothing outside this folder sees it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/byte_order.h"
#include "check/check.h"
#include "check/refcounts.h"
#include "format/bitmap_directory.h"
#include "format/geometry.h"
#include "format/header.h"
#include "format/header_extensions.h"
#include "format/l2_entry.h"
#include "format/snapshot_table.h"
#include "io/file.h"

/* The refcounts that the image stores. */
struct qc_stored {
	uint64_t *table; /* entries in host byte order */
	uint64_t entries;
	struct qc_counts shown; /* of the clusters of the file, cut at 3 */
	uint8_t *block;		/* the one that was read last, with its index; for exact counts */
	uint64_t block_index;
	bool unreadable; /* some block is */
};

/* What is known of the file's holes: from start to end it is data, or it is not. */
struct qc_check_extent {
	uint64_t start;
	uint64_t end;
	bool data;
};

struct qc_check {
	struct qc_file *file;
	const struct qc_finding_sink *sink;
	uint64_t findings_max;
	const struct qc_check_options *options;
	struct qc_check_result result;
	bool gave_up; /* what is wrong keeps us from going on */

	struct qc_header header;
	struct qc_geometry geometry;
	struct qc_extensions extensions;
	struct qc_snapshots snapshots;
	struct qc_bitmaps bitmaps;

	uint32_t subject;	     /* the snapshot that the check is about, plus 1; 0: all */
	struct qc_counts reached;    /* with a subject: references but for those of other tables */
	enum qc_claim_kind claiming; /* what is being counted */
	uint64_t clusters;	     /* of the file, and one more if something reaches into it */
	struct qc_counts references; /* found */
	struct qc_stored stored;
	struct qc_check_extent extent;

	struct qc_check_stream *streams; /* of compressed clusters, for a deep check */
	size_t stream_count, stream_room;
};

/* Whose entry it is that a finding is about. */
struct qc_check_place {
	const char *snapshot; /* NULL: the active state, or nobody */
	bool has_guest;
	struct qc_guest guest;
	bool apart; /* the check is about a snapshot, and this is not its own */
};

extern const struct qc_check_place qc_check_nowhere;

/*
 * subject.c: finds the snapshot that the check is about. Owners of tables are numbered: 0 is the
 * subject, or the active state if there is none.
 */
int qc_check_choose_subject(struct qc_check *check, struct qc_err *err);

/* The owner of the active state's tables (number 0) or of those of snapshot number - 1. */
uint32_t qc_check_owner(const struct qc_check *check, uint32_t number);
struct qc_check_place qc_check_place_of(const struct qc_check *check, uint32_t owner);
uint64_t qc_check_subject_bytes(const struct qc_check *check); /* of its disk */

/* report.c */

/*
 * Reports a finding that stands for `times` equal ones, which are counted as the id's severity says,
 * unless its place is apart. Sets no counter for notes.
 */
void qc_check_report(struct qc_check *check, enum qc_finding_id id, uint64_t times,
		     struct qc_host host, const struct qc_check_place *place, const char *format,
		     ...) __attribute__((format(printf, 6, 7)));

/* Reports what could not be checked, which stands for `times` errors of the check. */
void qc_check_unable(struct qc_check *check, enum qc_finding_id id, uint64_t times,
		     struct qc_host host, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Reports what makes it impossible to go on: a check error, no corruption. */
void qc_check_give_up(struct qc_check *check, enum qc_finding_id id, struct qc_host host,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Passes a finding on, without counting anything but the findings. */
void qc_check_pass_on(struct qc_check *check, const struct qc_finding *finding);

/* load.c: header, extensions, snapshot table and bitmap directory. */
int qc_check_load(struct qc_check *check, struct qc_err *err);
void qc_check_unload(struct qc_check *check);

/*
 * source.c: reads `length` bytes. Where all of them lie in a hole or past the end, sets *ret_zero
 * and leaves the buffer as it is.
 */
int qc_check_read(struct qc_check *check, uint64_t offset, void *buffer, size_t length,
		  bool *ret_zero, struct qc_err *err);

/* The same for a thread that knows holes of its own. */
int qc_check_read_by(struct qc_file *file, struct qc_check_extent *extent, uint64_t offset,
		     void *buffer, size_t length, bool *ret_zero, struct qc_err *err);

/* What can be read at all: offsets beyond are an error, not zeroes. */
#define QC_CHECK_READABLE_END ((uint64_t)INT64_MAX & ~((UINT64_C(1) << 30) - 1))

/* count.c */

/*
 * Counts `weight` references to each cluster that the bytes touch. A reference that ends a cluster
 * or more past the end of the file is reported and not counted.
 */
int qc_check_count(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t weight,
		   const struct qc_check_place *place, struct qc_err *err);

/* What the references that are counted from here on are for; only snapshots' unless `active`. */
static inline void qc_check_claim_for(struct qc_check *check, enum qc_claim_kind kind, bool active)
{
	check->claiming = active ? kind : QC_CLAIM_SNAPSHOTS;
}

/* The same of clusters first .. end-1, which are known to be inside. */
int qc_check_count_clusters(struct qc_check *check, uint64_t first, uint64_t end, uint64_t weight,
			    const struct qc_check_place *place, struct qc_err *err);

/* Whether such a reference is in order; reports it if not. */
bool qc_check_is_inside(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t weight,
			const struct qc_check_place *place);

/* stored.c */
int qc_stored_load(struct qc_check *check, struct qc_err *err);
void qc_stored_clear(struct qc_stored *stored);

/* Whether the block that holds a cluster's count can be read, or is not there at all. */
bool qc_stored_is_readable(const struct qc_check *check, uint64_t cluster);

/* The exact count of any cluster; *ret_known is false if its block cannot be read. */
int qc_stored_get(struct qc_check *check, uint64_t cluster, bool *ret_known, uint64_t *ret,
		  struct qc_err *err);

/* walk.c: all L1 tables, all that they lead to, and the COPIED flags of the active state. */
int qc_check_walk(struct qc_check *check, struct qc_err *err);

/* An L2 table and who refers to it. */
struct qc_check_l2 {
	uint64_t offset;
	uint64_t weight;	/* references from all L1 tables */
	uint64_t active;	/* of them, from the subject's */
	uint64_t copied_weight; /* of those, for which the COPIED flags are to be checked */
	uint64_t mendable;	/* and those that lead a repair to the table, */
	uint64_t elsewhere;	/* from the subject's L1 table, and from all others */
	uint64_t l1_index;	/* of one reference, */
	uint32_t owner;		/* as subject.c numbers them */
	bool counted;		/* there was nothing to say of it */
};

/* plain.c: counts those tables of which there is nothing to say, and marks them. */
int qc_check_plain_tables(struct qc_check *check, struct qc_check_l2 *tables, uint64_t count,
			  struct qc_err *err);

/* l2.c: the first entry from `index` on that is not empty, or l2_entries; of a standard table. */
uint64_t qc_l2_skip_empty(const uint8_t *table, uint64_t index, uint64_t l2_entries);

/* How many from `index` on, where there is a plain entry, go on one cluster after the other. */
uint64_t qc_l2_measure_run(const struct qc_geometry *g, const uint8_t *table, uint64_t index);

/*
 * How many entries from `index` on are plain (aligned, nothing but an offset and perhaps COPIED) and
 * each one cluster after the one before, with the same flag. Fast where each stands alone.
 */
static inline uint64_t qc_l2_run_length(const struct qc_geometry *g, const uint8_t *table,
					uint64_t index)
{
	const uint8_t *at = table + index * sizeof(uint64_t);
	uint64_t entry = qc_load_be64(at);
	uint64_t plain = QC_L2_COPIED | (QC_L2_OFFSET_MASK & ~(g->cluster_bytes - 1));

	if ((entry & ~plain) != 0 || (entry & QC_L2_OFFSET_MASK) == 0)
		return 0;
	if (index + 1 == g->l2_entries
	    || qc_load_be64(at + sizeof(uint64_t)) != entry + g->cluster_bytes)
		return 1;
	return qc_l2_measure_run(g, table, index);
}

/* Counts what the entries of a table refer to, and checks them. */
int qc_check_l2_entries(struct qc_check *check, const struct qc_check_l2 *l2, const uint8_t *table,
			struct qc_err *err);

/*
 * deep.c: notes a compressed cluster that lies inside the file, for a deep check; and decompresses
 * those that were noted.
 */
int qc_check_add_stream(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t guest,
			uint32_t owner, struct qc_err *err);
int qc_check_streams(struct qc_check *check, struct qc_err *err);

/* metadata.c: all references that do not come from L1 and L2 tables. */
int qc_check_metadata(struct qc_check *check, struct qc_err *err);
int qc_check_bitmaps(struct qc_check *check, struct qc_err *err);
int qc_check_refcount_blocks(struct qc_check *check, struct qc_err *err);

/* compare.c: the counts found with those stored; sets image_end_offset. */
int qc_check_compare(struct qc_check *check, struct qc_err *err);

/* interrupted.c: whether a transaction left its journal behind. */
int qc_check_interrupted(struct qc_check *check, struct qc_err *err);
