// SPDX-License-Identifier: MIT
/*
 * A fuzz target is one file with the function below. Linked with libFuzzer it is fed by that; linked
 * with replay.c it is a plain program that runs the files it is given, so that what was found once
 * is tested everywhere.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/finding.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* A property that holds for every input. */
#define FUZZ_MUST(condition)                                                                       \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Counts findings, and looks at each: a message is one line and never empty. */
static inline void fuzz_take_finding(void *context, const struct qc_finding *finding)
{
	FUZZ_MUST((unsigned int)finding->id < QC_FINDING_COUNT);
	FUZZ_MUST(finding->message[0] != '\0');
	FUZZ_MUST(strpbrk(finding->message, "\n\r\033") == NULL);
	++*(unsigned int *)context;
}

static inline struct qc_finding_sink fuzz_sink(unsigned int *count)
{
	*count = 0;
	return (struct qc_finding_sink){.take = fuzz_take_finding, .context = count};
}
