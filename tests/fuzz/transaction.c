// SPDX-License-Identifier: MIT
/*
 * Edits of an image that may be anything. A transaction is refused and leaves every byte as it was,
 * or it is committed: then the image opens, its check says nothing worse than before, the journal is
 * gone. A guard sees to it that nothing is written over meanwhile that the image uses.
 *
 * The input is four edits of EDIT_BYTES each, then the image.
 */
#include "base/byte_order.h"
#include "base/checked.h"
#include "fuzz/bounded_image.h"
#include "fuzz/fuzz.h"
#include "image/image.h"
#include "io/file_mem.h"
#include "support/guard_file.h"
#include "support/guard_file.h"
#include "support/soundness.h"
#include "txn/recover.h"
#include "txn/snapshot.h"
#include "txn/txn.h"

#define EDITS 4
#define EDIT_BYTES 8
#define PATTERN_BYTES ((size_t)1 << 16)

enum edit_kind {
	EDIT_NOTHING,
	EDIT_WRITE,
	EDIT_ZERO,
	EDIT_DISCARD,
	EDIT_GROW,
	EDIT_SNAPSHOT_CREATE, /* this and those below: the only edit of its transaction */
	EDIT_SNAPSHOT_APPLY,
	EDIT_SNAPSHOT_DELETE,
	EDIT_SNAPSHOT_RENAME,
	EDIT_KINDS,
};

struct edit {
	enum edit_kind kind;
	uint64_t at, length;
};

static struct edit edit_of(const uint8_t *bytes, uint64_t disk_bytes)
{
	struct edit edit = {
		.kind = (enum edit_kind)(bytes[0] % EDIT_KINDS),
		.at = (uint64_t)qc_load_be32(bytes + 2) << (bytes[1] >> 4),
		.length = (uint64_t)qc_load_be16(bytes + 6) << (bytes[1] & 15),
	};

	if (disk_bytes > 0)
		edit.at %= disk_bytes;
	/* Any place, but hardly ever one past the end, where nothing is left to be tested. */
	if (edit.kind != EDIT_GROW && qc_range_fits(edit.at, 0, disk_bytes))
		edit.length = qc_min(edit.length, disk_bytes - edit.at);
	if (edit.kind == EDIT_WRITE)
		edit.length = qc_min(edit.length, PATTERN_BYTES);
	return edit;
}

static const uint8_t *pattern(void)
{
	static uint8_t bytes[PATTERN_BYTES];

	for (size_t i = 0; i < sizeof(bytes) && bytes[1] == 0; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	return bytes;
}

static int snapshot_edit(struct qc_txn *txn, const struct edit *edit, size_t count,
			 struct qc_err *err)
{
	const struct qc_snapshot_date date = {1700000000, 0};

	if (edit->kind == EDIT_SNAPSHOT_CREATE)
		return qc_txn_snapshot_create(txn, "fuzz", date, err);
	if (count == 0)
		return qc_fail(err, QC_E_NOT_FOUND, "no snapshot");
	if (edit->kind == EDIT_SNAPSHOT_APPLY)
		return qc_txn_snapshot_apply(txn, (size_t)(edit->at % count), err);
	if (edit->kind == EDIT_SNAPSHOT_DELETE)
		return qc_txn_snapshot_delete(txn, (size_t)(edit->at % count), err);
	return qc_txn_snapshot_rename(txn, (size_t)(edit->at % count), "other", err);
}

static int apply(struct qc_txn *txn, const struct edit *edit, size_t snapshots, struct qc_err *err)
{
	struct qc_guest at = qc_guest(edit->at);

	switch (edit->kind) {
	case EDIT_NOTHING:
		return 0;
	case EDIT_WRITE:
		return qc_txn_write(txn, at, pattern(), (size_t)edit->length, err);
	case EDIT_ZERO:
		return qc_txn_zero(txn, at, edit->length, err);
	case EDIT_DISCARD:
		return qc_txn_discard(txn, at, edit->length, err);
	case EDIT_GROW:
		return qc_txn_grow(txn, qc_txn_disk_bytes(txn) + edit->length, err);
	default:
		return snapshot_edit(txn, edit, snapshots, err);
	}
}

static int run_edits(struct qc_image *image, const uint8_t *edits, struct qc_err *err)
{
	const struct qc_txn_options options = {.compress = (edits[0] & 0x80) != 0};
	struct qc_txn_report report;
	struct qc_txn *txn;
	size_t snapshots = image->snapshots.count;

	if (qc_txn_begin(image, NULL, &options, &txn, err) < 0)
		return -1;
	for (unsigned int i = 0; i < EDITS; i++) {
		struct edit edit = edit_of(edits + i * EDIT_BYTES, qc_txn_disk_bytes(txn));

		if (edit.kind >= EDIT_SNAPSHOT_CREATE && i > 0)
			continue;
		if (apply(txn, &edit, snapshots, err) < 0) {
			qc_txn_abort(txn);
			return -1;
		}
		if (edit.kind >= EDIT_SNAPSHOT_CREATE)
			break;
	}
	return qc_txn_commit(txn, &report, err);
}

/* As ops/edit.h does it: what an earlier crash left is settled first. */
static bool settle(struct qc_file *file)
{
	struct qc_recover_plan plan;
	struct qc_err err;

	return qc_recover_look(file, &plan, &err) == 0 && plan.state != QC_RECOVER_UNDECIDABLE
	       && qc_recover_apply(file, &plan, &err) == 0;
}

static void must_be_sound(bool sound, const char *why)
{
	if (sound)
		return;
	fprintf(stderr, "%s\n", why);
	abort();
}

static void edit_file(struct qc_file *file, const uint8_t *edits)
{
	struct qc_file *guard = guard_file_open(file, file);
	uint64_t length = file->bytes;
	uint8_t *copy = malloc((size_t)length + 1);
	struct qc_image *image;
	char why[512];
	struct qc_err err;
	int status;

	FUZZ_MUST(copy != NULL);
	memcpy(copy, qc_file_mem_bytes(file), (size_t)length);
	guard_file_believe_references(guard);
	if (qc_image_open(guard, NULL, &image, &err) == 0) {
		status = run_edits(image, edits, &err);
		qc_image_close(image);
		must_be_sound(status == 0
				      ? soundness_after_commit(file, copy, length, why, sizeof(why))
				      : soundness_after_refusal(file, copy, length, why,
								sizeof(why)),
			      why);
	}
	must_be_sound(guard_violation(guard) == NULL, guard_violation(guard));
	qc_file_close(guard);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct qc_file *file;
	uint8_t *copy, *image;
	struct qc_err err;

	if (length <= EDITS * EDIT_BYTES)
		return 0;
	copy = malloc(length);
	FUZZ_MUST(copy != NULL);
	memcpy(copy, bytes, length);
	image = copy + EDITS * EDIT_BYTES;
	length -= EDITS * EDIT_BYTES;
	fuzz_bound_image(image, length);
	FUZZ_MUST(qc_file_mem_open(image, length, &file, &err) == 0);
	if (settle(file))
		edit_file(file, copy);
	qc_file_close(file);
	free(copy);
	return 0;
}
