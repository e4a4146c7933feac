// SPDX-License-Identifier: MIT
/* A finding sink for tests: counts what was reported and keeps the last of each kind. */
#pragma once

#include <string.h>

#include "format/finding.h"

struct found {
	unsigned int count[QC_FINDING_COUNT];
	unsigned int total;
	struct qc_finding last[QC_FINDING_COUNT];
};

static inline void found_take(void *context, const struct qc_finding *finding)
{
	struct found *found = context;

	found->count[finding->id]++;
	found->total++;
	found->last[finding->id] = *finding;
}

/* A sink that collects into found, which starts empty. */
static inline struct qc_finding_sink found_sink(struct found *found)
{
	memset(found, 0, sizeof(*found));
	return (struct qc_finding_sink){.take = found_take, .context = found};
}

/* True if that was reported, once, and nothing else was. */
static inline bool found_only(const struct found *found, enum qc_finding_id id)
{
	return found->total == 1 && found->count[id] == 1;
}
