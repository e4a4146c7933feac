// SPDX-License-Identifier: MIT
/*
 * Transactions on images of the builder, in memory, under a guard and with faults on demand, beside
 * a model that says what the guest must see. Every rig ends with the guard's verdict.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "check/check.h"
#include "image/read.h"
#include "io/file_mem.h"
#include "support/fault_file.h"
#include "support/found.h"
#include "support/image_builder.h"
#include "support/under_guard.h"
#include "txn/recover.h"
#include "txn/txn.h"

struct rig {
	struct qc_file *mem, *fault, *guard;
	struct qc_image *image;
	struct qc_txn *txn;
	struct qc_txn_report report;
	struct qc_err err;
};

/* --- the rig --- */

/* On a file of the test's, which rig_close() closes. */
static inline void rig_open_on(struct rig *r, struct qc_file *take_file,
			       const struct fault_plan *plan)
{
	static const struct fault_plan none = {.at = UINT64_MAX};

	*r = (struct rig){.mem = take_file};
	r->fault = fault_file_open(r->mem, plan ? plan : &none);
	r->guard = guard_file_open(r->fault, r->mem);
}

static inline void rig_open(struct rig *r, const uint8_t *bytes, size_t length,
			    const struct fault_plan *plan)
{
	struct qc_file *mem;
	struct qc_err err;

	assert_int_equal(qc_file_mem_open(bytes, length, &mem, &err), 0);
	rig_open_on(r, mem, plan);
}

static inline int rig_begin(struct rig *r, const struct qc_layer *backing, bool compress)
{
	struct qc_txn_options options = {.compress = compress};
	int status = qc_image_open(r->guard, NULL, &r->image, &r->err);

	return status < 0 ? status : qc_txn_begin(r->image, backing, &options, &r->txn, &r->err);
}

/* Commits, or aborts if status is an error already; the outcome. */
static inline int rig_end(struct rig *r, int status)
{
	if (status == 0)
		status = qc_txn_commit(r->txn, &r->report, &r->err);
	else if (r->txn)
		qc_txn_abort(r->txn);
	r->txn = NULL;
	qc_image_close(r->image);
	r->image = NULL;
	return status;
}

static inline void rig_close(struct rig *r)
{
	end_guard(r->guard);
	qc_file_close(r->fault);
	qc_file_close(r->mem);
}

/* One transaction that must succeed, on an image without faults. */
static inline void rig_begin_well(struct rig *r, struct builder *b, bool compress)
{
	uint8_t *bytes;
	size_t length;

	builder_finish(b, &bytes, &length);
	rig_open(r, bytes, length, NULL);
	if (rig_begin(r, NULL, compress) < 0)
		fail_msg("%s", r->err.text);
}

static inline void rig_again(struct rig *r, bool compress)
{
	if (rig_begin(r, NULL, compress) < 0)
		fail_msg("%s", r->err.text);
}

static inline void rig_must(struct rig *r, int status)
{
	if (status < 0)
		fail_msg("%s", r->err.text);
}

static inline void rig_write(struct rig *r, uint64_t at, const void *bytes, size_t length)
{
	rig_must(r, qc_txn_write(r->txn, qc_guest(at), bytes, length, &r->err));
}

static inline void rig_commit(struct rig *r)
{
	rig_must(r, rig_end(r, 0));
}

/* --- recovery --- */

/* Settles what an interrupted transaction left, under a guard of its own. */
static inline int settle(struct qc_file *file, struct qc_err *err)
{
	struct qc_file *guard = guard_file_open(file, file);
	struct qc_recover_plan plan;
	int status = qc_recover_look(guard, &plan, err);

	if (status == 0)
		status = qc_recover_apply(guard, &plan, err);
	end_guard(guard);
	return status;
}

/* And nothing is left of it. */
static inline void settle_well(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	if (settle(file, &err) < 0 || qc_recover_look(file, &plan, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(plan.state, QC_RECOVER_CLEAN);
}

/* --- what must be so --- */

/* No corruption, and `leaks` leaked clusters, as the referee sees it. */
static inline void assert_sound_but(struct qc_file *file, uint64_t leaks)
{
	struct qc_check_options options = {0};
	struct qc_check_result result;
	struct found found;
	struct qc_finding_sink sink = found_sink(&found);
	struct qc_err err;

	if (qc_check_run(file, &options, &sink, &result, &err) < 0)
		fail_msg("check: %s", err.text);
	for (int i = 0; i < QC_FINDING_COUNT; i++)
		if (found.count[i] && i != QC_FINDING_TRANSACTION_INTERRUPTED
		    && (leaks == 0 || i != QC_FINDING_CLUSTER_LEAKED))
			fail_msg("check: %s", found.last[i].message);
	assert_true(result.completed);
	assert_int_equal(result.check_errors, 0);
	assert_int_equal(result.corruptions, 0);
	assert_int_equal(result.leaks, leaks);
}

static inline void assert_sound(struct qc_file *file)
{
	assert_sound_but(file, 0);
}

static inline void read_guest(struct qc_file *file, const struct qc_layer *backing, uint64_t at,
			      void *buffer, size_t length)
{
	struct qc_layer layer = {.file = file, .backing = (struct qc_layer *)backing};
	struct qc_err err;

	if (qc_image_open(file, NULL, &layer.image, &err) < 0)
		fail_msg("open: %s", err.text);
	layer.disk_bytes = layer.image->header.disk_bytes;
	if (qc_read_layer(&layer, qc_guest(at), buffer, length, &err) < 0)
		fail_msg("read: %s", err.text);
	qc_image_close(layer.image);
}

static inline void assert_guest(struct qc_file *file, uint64_t at, const void *expected,
				size_t length)
{
	uint8_t *now = malloc(length);

	assert_non_null(now);
	read_guest(file, NULL, at, now, length);
	for (size_t i = 0; i < length; i++)
		if (now[i] != ((const uint8_t *)expected)[i])
			fail_msg("guest byte %llu is 0x%02x, not 0x%02x",
				 (unsigned long long)(at + i), now[i],
				 ((const uint8_t *)expected)[i]);
	free(now);
}

static inline bool same_file(const struct qc_file *mem, const uint8_t *bytes, size_t length)
{
	return mem->bytes == length && memcmp(qc_file_mem_bytes(mem), bytes, length) == 0;
}

/* --- bytes --- */

/* A buffer full of one byte; borrowed until the next call. */
static inline const uint8_t *filled(uint8_t byte)
{
	static uint8_t cluster[2 << 20];

	memset(cluster, byte, sizeof(cluster));
	return cluster;
}

/* Bytes that do not compress. */
static inline void fill_noise(uint8_t *to, size_t length, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < length; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to[i] = (uint8_t)(x >> 32);
	}
}
