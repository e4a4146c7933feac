// SPDX-License-Identifier: MIT
#include "ops/rebase_snapshots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/read.h"
#include "ops/rebase_scan.h"

#define NAME_BYTES_SHOWN 40
#define NAMES_SHOWN 5

/* Raised when the first difference is found, to end the scan. */
#define FOUND QC_E_MISMATCH

static int differ(const struct qc_batch *b, size_t slot, uint8_t *buffer, bool *ret,
		  struct qc_err *err)
{
	uint64_t at = b->units[slot] * b->unit_bytes;
	size_t length = (size_t)qc_min(b->unit_bytes, b->disk_bytes - at);
	int status = 0;

	*ret = (b->states[slot] & QC_UNIT_DIFFERS) != 0;
	if (*ret || b->states[slot] == 0)
		return 0;
	status = qc_read_layer(b->chain[QC_SIDE_OLD], qc_guest(at), buffer, length, err);
	*ret = status == 0 && !qc_is_zero(buffer, length);
	return status;
}

static int take_batch(void *context, const struct qc_batch *b, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *buffer = malloc((size_t)b->unit_bytes);
	bool found = false;
	int status = 0;

	(void)context;
	if (!buffer)
		return qc_fail_memory(err);
	for (size_t i = 0; status == 0 && !found && i < b->unit_count; i++)
		status = differ(b, i, buffer, &found, err);
	if (status == 0 && found)
		return qc_fail(err, FOUND, "a difference");
	return status;
}

static int would_change(const struct qc_layer *image, const struct qc_snapshot *snapshot,
			struct qc_rebase_scan *scan, bool *ret, struct qc_err *err)
{
	struct qc_view view;
	int status;

	if ((status = qc_view_snapshot(image, snapshot, &view, err)) < 0)
		return status;
	scan->view = &view;
	status = qc_rebase_scan(scan, err);
	qc_view_clear(&view);
	*ret = status == -FOUND;
	return *ret ? 0 : status;
}

static size_t add_name(char *list, size_t room, size_t used, size_t count, const char *name)
{
	int n;

	if (count > NAMES_SHOWN)
		return used;
	if (count == NAMES_SHOWN)
		n = snprintf(list + used, room - used, " and more");
	else
		n = snprintf(list + used, room - used, "%s'%.*s'", count ? ", " : "",
			     NAME_BYTES_SHOWN, name);
	return used + (n > 0 ? (size_t)n : 0);
}

int qc_rebase_check_snapshots(const struct qc_layer *image, const struct qc_layer *old,
			      const struct qc_layer *new, const volatile sig_atomic_t *stop,
			      struct qc_err *err)
{
	const struct qc_snapshots *all = &image->image->snapshots;
	struct qc_rebase_scan scan = {.chain = {old, new}, .stop = stop, .take = take_batch};
	char names[NAMES_SHOWN * (NAME_BYTES_SHOWN + 4) + sizeof(" and more")];
	size_t used = 0, count = 0;
	bool changes = false;
	int status = 0;

	for (size_t i = 0; status == 0 && i < all->count && count <= NAMES_SHOWN; i++) {
		status = would_change(image, &all->list[i], &scan, &changes, err);
		if (status == 0 && changes)
			used = add_name(names, sizeof(names), used, count++, all->list[i].name);
	}
	if (status < 0 || count == 0)
		return status;
	return qc_fail(err, QC_E_UNSUPPORTED,
		       "snapshots show the old backing file and would change: %s; with "
		       "--ignore-snapshots they do",
		       names);
}
