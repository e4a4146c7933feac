// SPDX-License-Identifier: MIT
/*
 * Whose tables a check is about: the active state's, or those of one snapshot. All tables are walked
 * either way, as every reference counts. Tables are numbered by owner: 0 is the subject, whatever
 * that is; the active state then has the number that the subject would have had.
 */
#include <string.h>

#include "check/check_impl.h"

static uint32_t find(const struct qc_snapshots *all, const char *id_or_name)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].id, id_or_name) == 0)
			return (uint32_t)i + 1;
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].name, id_or_name) == 0)
			return (uint32_t)i + 1;
	return 0;
}

int qc_check_choose_subject(struct qc_check *check, struct qc_err *err)
{
	const char *wanted = check->options->snapshot;

	if (!wanted)
		return 0;
	check->subject = find(&check->snapshots, wanted);
	if (check->subject == 0)
		return qc_fail(err, QC_E_NOT_FOUND, "there is no snapshot '%s'", wanted);
	return 0;
}

uint32_t qc_check_owner(const struct qc_check *check, uint32_t number)
{
	if (number == check->subject)
		return 0;
	return number == 0 ? check->subject : number;
}

struct qc_check_place qc_check_place_of(const struct qc_check *check, uint32_t owner)
{
	uint32_t number = qc_check_owner(check, owner);

	return (struct qc_check_place){
		.snapshot = number ? check->snapshots.list[number - 1].name : NULL,
		.apart = check->subject != 0 && owner != 0,
	};
}

uint64_t qc_check_subject_bytes(const struct qc_check *check)
{
	const struct qc_snapshot *snapshot;

	if (check->subject == 0)
		return check->header.disk_bytes;
	snapshot = &check->snapshots.list[check->subject - 1];
	return snapshot->has_disk_bytes ? snapshot->disk_bytes : check->header.disk_bytes;
}
