// SPDX-License-Identifier: MIT
#include "check/check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "check/check_impl.h"

#define FINDINGS_MAX_DEFAULT 10000
#define CLUSTERS_MAX ((uint64_t)INT32_MAX) /* QEMU's, of one file */

/* Everything that is counted, in QEMU's order as far as the order shows. */
static int count_references(struct qc_check *check, struct qc_err *err)
{
	int status = qc_check_metadata(check, err);

	if (status == 0)
		status = qc_check_bitmaps(check, err);
	if (status == 0 && !check->gave_up)
		status = qc_check_walk(check, err);
	if (status == 0 && !check->gave_up)
		status = qc_check_streams(check, err);
	if (status == 0 && !check->gave_up)
		status = qc_check_refcount_blocks(check, err);
	return status;
}

static int run(struct qc_check *check, struct qc_err *err)
{
	int status = qc_check_load(check, err);

	if (status < 0 || check->gave_up)
		return status;
	status = qc_check_choose_subject(check, err);
	if (status < 0)
		return status;
	check->clusters = qc_clusters_for(&check->geometry, check->file->bytes);
	if (check->clusters > CLUSTERS_MAX)
		return qc_fail(err, QC_E_UNSUPPORTED, "%" PRIu64 " clusters are too many to check",
			       check->clusters);
	check->result.total_clusters =
		qc_clusters_for(&check->geometry,
				qc_align_down(qc_check_subject_bytes(check), QC_SECTOR_BYTES));
	/* A reference may reach into the cluster after the last one. */
	status = qc_counts_init(&check->references, check->clusters + 1,
				check->geometry.refcount_max, err);
	if (status == 0 && check->subject)
		status = qc_counts_init(&check->reached, check->clusters + 1, 1, err);
	if (status == 0)
		status = qc_stored_load(check, err);
	if (status == 0)
		status = count_references(check, err);
	if (status < 0 || check->gave_up)
		return status;
	status = qc_check_compare(check, err);
	check->result.completed = status == 0;
	return status;
}

int qc_check_run(struct qc_file *file, const struct qc_check_options *options,
		 const struct qc_finding_sink *sink, struct qc_check_result *ret,
		 struct qc_err *err)
{
	struct qc_check check = {
		.file = file,
		.sink = sink,
		.options = options,
		.findings_max = options->findings_max ? options->findings_max
						      : FINDINGS_MAX_DEFAULT,
	};
	int status = run(&check, err);

	if (status == 0)
		status = qc_check_interrupted(&check, err);
	if (status == 0)
		*ret = check.result;
	free(check.streams);
	qc_stored_clear(&check.stored);
	qc_counts_clear(&check.references);
	qc_counts_clear(&check.reached);
	qc_check_unload(&check);
	return status;
}
