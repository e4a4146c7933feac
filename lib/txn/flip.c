// SPDX-License-Identifier: MIT
#include "txn/flip.h"

#include <string.h>

int qc_flip_is(struct qc_file *file, const uint8_t sector[QC_SECTOR_BYTES], bool *ret,
	       struct qc_err *err)
{
	uint8_t now[QC_SECTOR_BYTES];
	int status = qc_file_read(file, 0, now, sizeof(now), err);

	if (status < 0)
		return qc_err_context(err, "header");
	*ret = memcmp(now, sector, sizeof(now)) == 0;
	return 0;
}

int qc_flip(struct qc_file *file, const uint8_t now[QC_SECTOR_BYTES],
	    const uint8_t next[QC_SECTOR_BYTES], struct qc_err *err)
{
	struct qc_err ignored;
	bool untouched = false;

	if (qc_file_write(file, 0, next, QC_SECTOR_BYTES, err) < 0) {
		/* A write that was refused as a whole changed nothing; any other might have. */
		if (qc_flip_is(file, now, &untouched, &ignored) == 0 && untouched)
			return qc_err_context(err, "header");
		return qc_err_outcome_unknown(err);
	}
	return qc_file_sync(file, QC_SYNC_DATA, err) < 0 ? qc_err_outcome_unknown(err) : 0;
}
