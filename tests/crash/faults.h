// SPDX-License-Identifier: MIT
/* The ways in which calls fail, and one fault again, said in full. */
#pragma once

#include "crash/calls.h"
#include "crash/campaign.h"

struct fault_kind {
	const char *name;
	struct call_fault fault;
	bool harmless; /* whoever meets it just goes on */
};

extern const struct fault_kind fault_kinds[];
extern const size_t fault_kind_count;

/* Whether a call that failed like that may end in an error of that code. */
bool fault_code_is_right(const struct call_fault *fault, const struct call_report *report,
			 enum qc_code code);

/* False: something is wrong still. */
bool faults_replay(struct campaign *c, size_t kind, uint64_t at);
