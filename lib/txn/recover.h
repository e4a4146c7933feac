// SPDX-License-Identifier: MIT
/*
 * What a crash left behind. Looking changes nothing; applying ends in exactly the old or exactly
 * the new image, and can itself be interrupted and done again.
 *
 * A journal counts as the image's own only if it lies in clusters that the image as it stands does
 * not use (else a guest wrote it), and agrees with the image in all that no transaction changes.
 *
 * Then sector 0 decides, not the journal: equal to "before", the transaction never happened; equal to
 * "after", it did, and only giving space back is left. Autoclear bits may have been cleared since.
 * Any other sector that leads to a sound image is left alone: another program may have written it, and
 * a guest the journal, into a cluster that is free by now. Where sector 0 makes no sense, and is made
 * of bytes of both, it was torn by storage that does not keep our one assumption. Then the new tables
 * decide, if all of them are there to the bit and make sense, and else the old ones, if they do.
 *
 * A sector that makes sense, and is what a torn write of the one over the other would have left, is
 * doubtful if the transaction could be finished. Nothing is done then, and a person has to decide.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "io/file.h"
#include "txn/journal.h"

enum qc_recover_state {
	QC_RECOVER_CLEAN,	  /* no journal */
	QC_RECOVER_NOT_COMMITTED, /* the old image; the tail is to be cut off */
	QC_RECOVER_COMMITTED,	  /* the new image; freed space is to be given back */
	QC_RECOVER_REDO,	  /* the new image, but for bytes of the data file */
	QC_RECOVER_TORN_TO_NEW,	  /* sector 0 is torn; the new one is to be written */
	QC_RECOVER_TORN_TO_OLD,	  /* likewise, the old one */
	QC_RECOVER_STALE,	  /* the journal of a state that is gone; to be cut off */
	QC_RECOVER_DOUBTFUL,	  /* torn, or somebody else's: nothing will be done */
	QC_RECOVER_UNDECIDABLE,	  /* torn, and neither side is whole: nothing will be done */
};

struct qc_recover_plan {
	enum qc_recover_state state;
	struct qc_journal journal;	  /* unless clean */
	uint8_t sector0[QC_SECTOR_BYTES]; /* as it was found; likewise */
	bool decided;			  /* qc_recover_resolve() */
	bool redo;			  /* bytes are to be written to the data file; see redo.h */
	struct qc_file *data; /* which is for the caller to open and lock for writing, if so */
};

/* Finds out what is left of an interrupted transaction. */
int qc_recover_look(struct qc_file *file, struct qc_recover_plan *ret, struct qc_err *err);

/* Nothing will be done, and nobody may change the image before this is decided. */
bool qc_recover_is_stuck(const struct qc_recover_plan *plan);

/* The header is whole and marked dirty: applying has to wait until the refcounts are rebuilt. */
bool qc_recover_needs_rebuild(const struct qc_recover_plan *plan);

/*
 * Somebody decided what is doubtful: the header was torn, and the transaction is to be finished; or it
 * is as it should be, and the journal is stale. Any other plan stays as it is.
 */
void qc_recover_resolve(struct qc_recover_plan *plan, bool finish);

/*
 * Does what the plan says. The file is writable and locked for writing, and was not changed since
 * qc_recover_look(). The same holds for plan->data if there is something to redo. Where the image's
 * tables make no sense nothing is cut or punched: QC_E_FORMAT.
 * QC_E_OUTCOME_UNKNOWN if sector 0 was written but may not be durable; nothing follows then (I6).
 */
int qc_recover_apply(struct qc_file *file, const struct qc_recover_plan *plan, struct qc_err *err);

/* "committed", for JSON; and a line for people about what that means. */
const char *qc_recover_state_id(enum qc_recover_state state);
const char *qc_recover_state_text(enum qc_recover_state state);
