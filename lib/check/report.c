// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>

#include "check/check_impl.h"

const struct qc_check_place qc_check_nowhere = {0};

void qc_check_pass_on(struct qc_check *check, const struct qc_finding *finding)
{
	if (check->result.findings == check->findings_max) {
		check->result.findings_omitted++;
		return;
	}
	check->result.findings++;
	check->sink->take(check->sink->context, finding);
}

static void set_message(struct qc_finding *finding, const char *format, va_list args)
{
	vsnprintf(finding->message, sizeof(finding->message), format, args);
	for (char *c = finding->message; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

/* What a repair of everything puts right, see ops/repair.h. */
static void sort_corruption(struct qc_check_result *result, enum qc_finding_id id, uint64_t times)
{
	switch (id) {
	case QC_FINDING_REFCOUNT_TOO_LOW:
	case QC_FINDING_SNAPSHOT_INCOMPLETE:
		break;
	case QC_FINDING_COPIED_L2_TABLE:
	case QC_FINDING_COPIED_DATA:
		result->flags_wrong += times;
		break;
	case QC_FINDING_REFCOUNT_TABLE_RESERVED:
	case QC_FINDING_REFCOUNT_BLOCK_UNALIGNED:
	case QC_FINDING_REFCOUNT_BLOCK_OUTSIDE:
	case QC_FINDING_REFCOUNT_BLOCK_SHARED:
		result->refcounts_broken = true;
		break;
	default:
		result->lasting += times;
	}
}

static void add_to_result(struct qc_check *check, enum qc_finding_id id, uint64_t times)
{
	switch (qc_finding_kind(id)->severity) {
	case QC_SEVERITY_NOTE:
		break;
	case QC_SEVERITY_LEAK:
		check->result.leaks += times;
		break;
	case QC_SEVERITY_CORRUPTION:
		check->result.corruptions += times;
		sort_corruption(&check->result, id, times);
		break;
	}
}

void qc_check_report(struct qc_check *check, enum qc_finding_id id, uint64_t times,
		     struct qc_host host, const struct qc_check_place *place, const char *format,
		     ...)
{
	struct qc_finding finding = {
		.id = id,
		.has_host = true,
		.host = host,
		.has_guest = place->has_guest,
		.guest = place->guest,
		.snapshot = place->snapshot,
	};
	va_list args;

	if (place->apart)
		return;
	add_to_result(check, id, times);
	/* There can be billions of them: formatting what nobody will see would take minutes. */
	if (check->result.findings < check->findings_max) {
		va_start(args, format);
		set_message(&finding, format, args);
		va_end(args);
	}
	qc_check_pass_on(check, &finding);
}

static void report_unable(struct qc_check *check, enum qc_finding_id id, struct qc_host host,
			  const char *format, va_list args)
{
	struct qc_finding finding = {.id = id, .has_host = host.byte != 0, .host = host};

	set_message(&finding, format, args);
	qc_check_pass_on(check, &finding);
}

void qc_check_unable(struct qc_check *check, enum qc_finding_id id, uint64_t times,
		     struct qc_host host, const char *format, ...)
{
	va_list args;

	check->result.check_errors += times;
	check->result.refcounts_broken |= id == QC_FINDING_REFCOUNT_BLOCK_UNREADABLE;
	va_start(args, format);
	report_unable(check, id, host, format, args);
	va_end(args);
}

void qc_check_give_up(struct qc_check *check, enum qc_finding_id id, struct qc_host host,
		      const char *format, ...)
{
	va_list args;

	check->result.check_errors++;
	check->gave_up = true;
	va_start(args, format);
	report_unable(check, id, host, format, args);
	va_end(args);
}
