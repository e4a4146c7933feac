// SPDX-License-Identifier: MIT
/* Checking an image. */
#include "api/api.h"
#include "check/check.h"
#include "io/file_posix.h"

#include <assert.h>

static_assert((int)QCOWTOOL_NOTE == (int)QC_SEVERITY_NOTE
		      && (int)QCOWTOOL_LEAK == (int)QC_SEVERITY_LEAK
		      && (int)QCOWTOOL_CORRUPTION == (int)QC_SEVERITY_CORRUPTION,
	      "severities differ");

/* Who gets the findings. */
struct taker {
	void (*take)(void *context, const struct qcowtool_finding *finding);
	void *context;
};

static void pass_on(void *context, const struct qc_finding *finding)
{
	const struct qc_finding_kind *kind = qc_finding_kind(finding->id);
	const struct taker *taker = context;
	const struct qcowtool_finding passed = {
		.id = kind->id,
		.severity = (int)kind->severity,
		.host = finding->has_host ? finding->host.byte : QCOWTOOL_NOWHERE,
		.guest = finding->has_guest ? finding->guest.byte : QCOWTOOL_NOWHERE,
		.message = finding->message,
	};

	if (taker->take)
		taker->take(taker->context, &passed);
}

static int check(const char *path, unsigned int flags, struct taker *taker,
		 struct qc_check_result *ret, struct qc_err *err)
{
	const struct qc_file_open how = {
		.lock = flags & QCOWTOOL_FORCE_SHARE ? QC_LOCK_FORCE : QC_LOCK_READ,
	};
	const struct qc_check_options options = {.deep = (flags & QCOWTOOL_DEEP) != 0};
	const struct qc_finding_sink sink = {pass_on, taker};
	struct qc_file *file;
	int status = qc_api_flags(flags, QCOWTOOL_FORCE_SHARE | QCOWTOOL_DEEP, err);

	if (status == 0)
		status = qc_file_posix_open(path, &how, &file, err);
	if (status < 0)
		return status;
	status = qc_check_run(file, &options, &sink, ret, err);
	qc_file_close(file);
	return status;
}

int qcowtool_check(const char *path, unsigned int flags,
		   void (*take)(void *context, const struct qcowtool_finding *finding),
		   void *context, struct qcowtool_check *ret, struct qcowtool_error *error)
{
	struct taker taker = {take, context};
	struct qc_check_result result = {0};
	struct qc_err err;
	int status = check(path, flags, &taker, &result, &err);

	if (status < 0)
		return qc_api_result(status, &err, error);
	*ret = (struct qcowtool_check){
		.corruptions = result.corruptions,
		.leaks = result.leaks,
		.unchecked = result.check_errors,
		.total_clusters = result.total_clusters,
		.allocated_clusters = result.allocated_clusters,
		.compressed_clusters = result.compressed_clusters,
		.fragmented_clusters = result.fragmented_clusters,
		.findings_omitted = result.findings_omitted,
	};
	return 0;
}
