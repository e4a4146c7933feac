// SPDX-License-Identifier: MIT
#include "cmd/patches_apply.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"

#define COPY_BYTES ((uint64_t)1 << QC_CLUSTER_BITS_MAX)
#define DISK_UNIT 512 /* a disk's size is a multiple of it; qemu-img rounds down what is not */

/* What is copied counts; all else is done in no time. */
struct part {
	struct qc_progress *progress;
	uint64_t done, total; /* bytes */
};

static bool is_copied(const struct patch *patch)
{
	return patch->word == PATCH_FILE || patch->word == PATCH_FILL;
}

static uint64_t total_bytes(const struct patches *patches)
{
	uint64_t total = 0;

	for (size_t i = 0; i < patches->count; i++)
		if (is_copied(&patches->list[i]))
			total += qc_min(patches->list[i].length, UINT64_MAX - total);
	return total;
}

static void advance(struct part *part, uint64_t bytes)
{
	part->done += bytes;
	qc_progress_step(part->progress, part->done, part->total);
}

static int expect(struct qc_txn *txn, const struct patch *patch, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *now = malloc((size_t)patch->length + 1);
	int status;

	if (!now)
		return qc_fail_memory(err);
	status = qc_txn_read(txn, qc_guest(patch->at), now, (size_t)patch->length, err);
	for (size_t i = 0; status == 0 && i < patch->length; i++)
		if (now[i] != patch->bytes[i])
			status = qc_fail(err, QC_E_MISMATCH,
					 "expected 0x%02x at offset 0x%" PRIx64 ", found 0x%02x",
					 patch->bytes[i], patch->at + i, now[i]);
	return status;
}

/* The next chunk of a long patch: it ends where the largest clusters do, so none is cut in two. */
static size_t next_chunk(const struct patch *patch, uint64_t done)
{
	return (size_t)qc_min(COPY_BYTES - (patch->at + done) % COPY_BYTES, patch->length - done);
}

static int write_fill(struct qc_txn *txn, const struct patch *patch, struct part *part,
		      struct qc_err *err)
{
	size_t most = (size_t)qc_min(patch->length, COPY_BYTES), now;
	QC_AUTOFREE uint8_t *bytes = malloc(most + 1);
	int status = 0;

	if (!bytes)
		return qc_fail_memory(err);
	memset(bytes, patch->fill, most);
	for (uint64_t done = 0; status == 0 && done < patch->length; done += now) {
		now = next_chunk(patch, done);
		status = qc_txn_write(txn, qc_guest(patch->at + done), bytes, now, err);
		advance(part, now);
	}
	return status;
}

static int write_file(struct qc_txn *txn, const struct patch *patch, struct part *part,
		      struct qc_err *err)
{
	QC_AUTOFREE uint8_t *bytes = malloc(COPY_BYTES);
	size_t now;
	int status = 0;

	if (!bytes)
		return qc_fail_memory(err);
	for (uint64_t done = 0; status == 0 && done < patch->length; done += now) {
		now = next_chunk(patch, done);
		status = qc_file_read(patch->file, done, bytes, now, err);
		if (status < 0)
			return qc_err_context(err, "%s", patch->path);
		status = qc_txn_write(txn, qc_guest(patch->at + done), bytes, now, err);
		advance(part, now);
	}
	return status;
}

static int apply_one(struct qc_txn *txn, const struct patch *patch, struct part *part,
		     struct qc_err *err)
{
	struct qc_guest at = qc_guest(patch->at);

	switch (patch->word) {
	case PATCH_FILE:
		return write_file(txn, patch, part, err);
	case PATCH_FILL:
		return write_fill(txn, patch, part, err);
	case PATCH_ZERO:
		return qc_txn_zero(txn, at, patch->length, err);
	case PATCH_DISCARD:
		return qc_txn_discard(txn, at, patch->length, err);
	case PATCH_EXPECT:
		return 0;
	default:
		return qc_txn_write(txn, at, patch->bytes, (size_t)patch->length, err);
	}
}

static int fail_too_long(const struct qc_txn *txn, const struct patches *patches,
			 struct qc_err *err)
{
	return qc_fail(err, QC_E_RANGE,
		       "the patches end at offset %" PRIu64 ", past the end of the disk (%" PRIu64
		       " bytes); --grow makes it longer",
		       patches->end, qc_txn_disk_bytes(txn));
}

int patches_apply(struct qc_txn *txn, const struct patches *patches, bool grow,
		  struct qc_progress *progress, struct qc_err *err)
{
	struct part part = {.progress = progress, .total = total_bytes(patches)};
	int status = 0;

	for (size_t i = 0; status == 0 && i < patches->count; i++)
		if (patches->list[i].word == PATCH_EXPECT)
			status = expect(txn, &patches->list[i], err);
	if (status == 0 && patches->end > qc_txn_disk_bytes(txn))
		status = grow ? qc_txn_grow(txn, qc_align_up(patches->end, DISK_UNIT), err)
			      : fail_too_long(txn, patches, err);
	for (size_t i = 0; status == 0 && i < patches->count; i++)
		status = apply_one(txn, &patches->list[i], &part, err);
	return status;
}
