// SPDX-License-Identifier: MIT
/* Whether the end of the file holds the journal of a transaction that did not come to its end. */
#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "check/check_impl.h"
#include "format/journal_record.h"

#define SEGMENT_BYTES_MAX (UINT64_C(4) << 30) /* far beyond the journal of any real image */
#define PART_BYTES (UINT64_C(256) << 10)

static int digest_of(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t *ret,
		     struct qc_err *err)
{
	QC_AUTOFREE uint8_t *part = malloc(PART_BYTES);
	XXH64_state_t *state = XXH64_createState();
	int status = 0;

	if (!part || !state) {
		status = qc_fail_memory(err);
		goto out;
	}
	XXH64_reset(state, 0);
	for (uint64_t done = 0, now; done < bytes && status == 0; done += now) {
		now = qc_min(PART_BYTES, bytes - done);
		status = qc_file_read(check->file, offset + done, part, (size_t)now, err);
		if (status == 0)
			XXH64_update(state, part, (size_t)now);
	}
	*ret = XXH64_digest(state);
out:
	XXH64_freeState(state);
	return status;
}

int qc_check_interrupted(struct qc_check *check, struct qc_err *err)
{
	struct qc_disk_journal_trailer disk;
	struct qc_journal_trailer trailer;
	uint64_t at, digest = 0;
	int status;

	if (check->file->bytes < 2 * sizeof(disk))
		return 0;
	at = check->file->bytes - sizeof(disk);
	status = qc_file_read(check->file, at, &disk, sizeof(disk), err);
	if (status < 0 || !qc_journal_trailer_decode(&disk, &trailer))
		return status;
	if (trailer.segment_bytes > SEGMENT_BYTES_MAX
	    || !qc_range_fits(trailer.segment_offset, trailer.segment_bytes, at))
		return 0;
	status = digest_of(check, trailer.segment_offset, trailer.segment_bytes, &digest, err);
	if (status < 0 || digest != trailer.segment_digest)
		return status;
	qc_check_report(check, QC_FINDING_TRANSACTION_INTERRUPTED, 1,
			qc_host(trailer.segment_offset), &qc_check_nowhere,
			"a transaction was interrupted; `qcowtool recover` finishes or drops it");
	return 0;
}
