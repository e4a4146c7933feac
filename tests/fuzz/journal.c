// SPDX-License-Identifier: MIT
/*
 * The journal at the end of a file: found, read, judged and settled. The digests that would keep
 * nearly every input out are put right first.
 */
#include <xxhash.h>

#include "base/checked.h"
#include "fuzz/fuzz.h"
#include "io/file_mem.h"
#include "txn/journal.h"
#include "txn/recover.h"

#define TRAILER_BYTES sizeof(struct qc_disk_journal_trailer)

/* As far as the trailer describes a stretch of the file at all. */
static void put_digests(uint8_t *bytes, size_t length)
{
	struct qc_disk_journal_trailer *trailer;
	uint64_t offset, segment;

	if (length < TRAILER_BYTES)
		return;
	trailer = (struct qc_disk_journal_trailer *)(bytes + length - TRAILER_BYTES);
	offset = qc_be64_get(trailer->segment_offset);
	segment = qc_be64_get(trailer->segment_bytes);
	if (!qc_range_fits(offset, segment, length))
		return;
	trailer->segment_digest = qc_be64_make(XXH64(bytes + offset, (size_t)segment, 0));
	trailer->digest = qc_be64_make(XXH64(trailer, TRAILER_BYTES - 8, 0));
}

static int take_record(void *context, const struct qc_journal_record *record, struct qc_err *err)
{
	(void)err;
	FUZZ_MUST(qc_journal_kind_text(record->kind) != NULL);
	FUZZ_MUST(qc_journal_kind_id(record->kind) != NULL);
	++*(uint64_t *)context;
	return 0;
}

/* What is applied is settled: looking again finds nothing, or what is left alone for good. */
static void settle(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	if (qc_recover_look(file, &plan, &err) < 0)
		return;
	FUZZ_MUST(qc_recover_state_id(plan.state) != NULL);
	FUZZ_MUST(qc_recover_state_text(plan.state) != NULL);
	if (plan.state == QC_RECOVER_CLEAN || plan.state == QC_RECOVER_UNDECIDABLE)
		return;
	if (qc_recover_apply(file, &plan, &err) < 0)
		return;
	FUZZ_MUST(qc_recover_look(file, &plan, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct qc_journal journal;
	struct qc_file *file;
	uint64_t records = 0;
	bool found = false;
	uint8_t *copy = malloc(length + 1);
	struct qc_err err;

	FUZZ_MUST(copy != NULL);
	memcpy(copy, bytes, length);
	put_digests(copy, length);
	FUZZ_MUST(qc_file_mem_open(copy, length, &file, &err) == 0);
	if (qc_journal_find(file, &found, &journal, &err) == 0 && found
	    && qc_journal_each(file, &journal, take_record, &records, &err) == 0)
		FUZZ_MUST(records == journal.head.records);
	settle(file);
	qc_file_close(file);
	free(copy);
	return 0;
}
