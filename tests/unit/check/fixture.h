// SPDX-License-Identifier: MIT
/* Runs the check over an image that a builder made, and remembers which findings came up. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"
#include "io/file_mem.h"
#include "support/image_builder.h"

struct checked {
	uint64_t times[QC_FINDING_COUNT];
	struct qc_check_result result;
};

static inline void take_finding(void *context, const struct qc_finding *finding)
{
	struct checked *checked = context;

	assert_true(finding->id < QC_FINDING_COUNT);
	assert_true(strlen(finding->message) > 0);
	checked->times[finding->id]++;
}

static inline int check_how(const void *bytes, size_t length, bool deep, struct checked *ret,
			    struct qc_err *err)
{
	const struct qc_check_options options = {.deep = deep};
	const struct qc_finding_sink sink = {take_finding, ret};
	struct qc_file *file;
	int r;

	memset(ret, 0, sizeof(*ret));
	assert_int_equal(qc_file_mem_open(bytes, length, &file, err), 0);
	r = qc_check_run(file, &options, &sink, &ret->result, err);
	qc_file_close(file);
	return r;
}

static inline int check_bytes(const void *bytes, size_t length, struct checked *ret,
			      struct qc_err *err)
{
	return check_how(bytes, length, false, ret, err);
}

/* A disk with plain, zero and compressed clusters in its first ten. */
static inline struct builder *rich_image(uint32_t version, uint32_t cluster_bits, bool extended)
{
	struct builder_options options = builder_defaults();
	static uint8_t cluster[1 << 16];
	struct builder *b;

	options.version = version;
	options.cluster_bits = cluster_bits;
	options.extended_l2 = extended;
	b = builder_new(&options);
	memset(cluster, 0x5a, sizeof(cluster));
	for (uint64_t i = 0; i < 4; i++)
		builder_data(b, i, cluster);
	if (version == 3 && !extended)
		builder_zero_alloc(b, 5);
	for (uint64_t i = 7; i < 10; i++)
		builder_compressed(b, i, cluster);
	return b;
}
