// SPDX-License-Identifier: MIT
#include "ops/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

struct surveyor {
	struct qc_survey *survey;
	uint32_t cluster_bits;
	/*
	 * What has an owner. Tables are walked in the order of the file, so a snapshot may claim what
	 * the active state claims later; the latter counts.
	 */
	struct qc_bitset active, others;
	char last[sizeof(((struct qc_finding *)NULL)->message)]; /* what the walk ended with */
};

static void add(struct qc_survey *survey, unsigned int kind, uint64_t first, uint64_t end)
{
	survey->total.clusters[kind] += end - first;
	for (uint64_t part; first < end; first += part) {
		uint64_t index = first / survey->clusters_per_cell;

		part = qc_min(end, (index + 1) * survey->clusters_per_cell) - first;
		survey->cell[index].clusters[kind] += part;
	}
}

/* Adds those of first .. end-1 that are no members yet, and makes them members. */
static void add_new(struct qc_survey *survey, struct qc_bitset *members, unsigned int kind,
		    uint64_t first, uint64_t end)
{
	for (uint64_t next; first < end; first = next) {
		if (qc_bitset_has(members, first)) {
			next = qc_min(end, qc_bitset_next_absent(members, first));
			continue;
		}
		next = qc_min(end, qc_bitset_next(members, first));
		qc_bitset_add_range(members, first, next - first);
		add(survey, kind, first, next);
	}
}

static void plot(struct qc_survey *survey, uint64_t guest, uint64_t host, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t column = (guest + i) * QC_SURVEY_COLUMNS / survey->guest_clusters;
		uint64_t row = (host + i) * QC_SURVEY_ROWS / survey->clusters;

		if (column < QC_SURVEY_COLUMNS)
			qc_bitset_add(&survey->plot, row * QC_SURVEY_COLUMNS + column);
	}
}

static void take_claim(void *context, const struct qc_claim *claim)
{
	struct surveyor *surveyor = context;
	struct qc_survey *survey = surveyor->survey;
	uint64_t end = qc_min(claim->end, survey->clusters);
	uint64_t count = claim->kind == QC_CLAIM_COMPRESSED ? 1 : end - claim->first;

	if (claim->first >= end)
		return;
	if (claim->kind == QC_CLAIM_SNAPSHOTS) {
		qc_bitset_add_range(&surveyor->others, claim->first, end - claim->first);
		return;
	}
	add_new(survey, &surveyor->active, claim->kind, claim->first, end);
	/* The guest offset of an L2 table is that of what it maps. */
	if (claim->has_guest && claim->kind != QC_CLAIM_L2)
		plot(survey, claim->guest.byte >> surveyor->cluster_bits, claim->first, count);
}

static int take_mismatch(void *context, uint64_t cluster, uint64_t stored, uint64_t found,
			 struct qc_err *err)
{
	struct surveyor *surveyor = context;

	(void)err;
	if (found == 0 && stored > 0 && cluster < surveyor->survey->clusters)
		add_new(surveyor->survey, &surveyor->active, QC_SURVEY_LEAKED, cluster,
			cluster + 1);
	return 0;
}

static void take_finding(void *context, const struct qc_finding *finding)
{
	struct surveyor *surveyor = context;

	snprintf(surveyor->last, sizeof(surveyor->last), "%s", finding->message);
}

/* What has no owner but snapshots, and what is left. */
static void settle(struct surveyor *surveyor)
{
	struct qc_survey *survey = surveyor->survey;
	struct qc_bitset *others = &surveyor->others;
	uint64_t first, end;

	for (first = qc_bitset_next(others, 0); first < survey->clusters;
	     first = qc_bitset_next(others, end)) {
		end = qc_min(survey->clusters, qc_bitset_next_absent(others, first));
		add_new(survey, &surveyor->active, QC_CLAIM_SNAPSHOTS, first, end);
	}
	for (uint32_t i = 0; i < survey->cells; i++) {
		uint64_t *clusters = survey->cell[i].clusters;
		uint64_t start = i * survey->clusters_per_cell;
		uint64_t left = qc_min(survey->clusters_per_cell, survey->clusters - start);

		for (unsigned int kind = 0; kind < QC_SURVEY_FREE; kind++)
			left -= clusters[kind];
		clusters[QC_SURVEY_FREE] = left;
		survey->total.clusters[QC_SURVEY_FREE] += left;
	}
}

static int walk(struct surveyor *surveyor, struct qc_file *file, struct qc_progress *progress,
		struct qc_err *err)
{
	const struct qc_finding_sink sink = {take_finding, surveyor};
	const struct qc_check_options options = {
		.findings_max = UINT64_MAX,
		.mismatch = take_mismatch,
		.context = surveyor,
		.claimed = take_claim,
		.claims = surveyor,
		.progress = progress,
	};
	struct qc_check_result *result = &surveyor->survey->check;
	int status = qc_check_run(file, &options, &sink, result, err);

	if (status < 0)
		return status;
	if (!result->completed)
		return qc_fail(err, QC_E_FORMAT, "%s", surveyor->last);
	settle(surveyor);
	return 0;
}

static bool init(struct surveyor *surveyor)
{
	struct qc_survey *survey = surveyor->survey;

	survey->clusters_per_cell = qc_max(1, qc_div_up(survey->clusters, QC_SURVEY_CELLS_MAX));
	survey->cells = (uint32_t)qc_div_up(survey->clusters, survey->clusters_per_cell);
	survey->cell = calloc(survey->cells, sizeof(*survey->cell));
	return survey->cell
	       && qc_bitset_init(&survey->plot, (uint64_t)QC_SURVEY_COLUMNS * QC_SURVEY_ROWS)
	       && qc_bitset_init(&surveyor->active, survey->clusters)
	       && qc_bitset_init(&surveyor->others, survey->clusters);
}

int qc_survey_make(struct qc_file *file, const struct qc_geometry *g, uint64_t disk_bytes,
		   struct qc_progress *progress, struct qc_survey *ret, struct qc_err *err)
{
	struct surveyor surveyor = {.survey = ret, .cluster_bits = g->cluster_bits};
	int status;

	*ret = (struct qc_survey){
		.clusters = qc_clusters_for(g, file->bytes),
		.guest_clusters = qc_max(1, qc_clusters_for(g, disk_bytes)),
	};
	if (ret->clusters > (uint64_t)INT32_MAX) /* no check takes it */
		return qc_fail(err, QC_E_UNSUPPORTED, "the file is too long to look through");
	status = init(&surveyor) ? walk(&surveyor, file, progress, err) : qc_fail_memory(err);
	qc_bitset_clear(&surveyor.active);
	qc_bitset_clear(&surveyor.others);
	if (status < 0)
		qc_survey_clear(ret);
	return status;
}

void qc_survey_clear(struct qc_survey *survey)
{
	free(survey->cell);
	qc_bitset_clear(&survey->plot);
	*survey = (struct qc_survey){0};
}
