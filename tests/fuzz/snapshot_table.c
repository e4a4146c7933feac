// SPDX-License-Identifier: MIT
/*
 * The snapshot table. The first three bytes are the geometry and the number of entries. What decodes
 * is encoded and decoded again, and is the same then.
 */
#include "format/limits.h"
#include "format/snapshot_table.h"
#include "fuzz/fuzz.h"

static void check_same(const struct qc_snapshot *a, const struct qc_snapshot *b)
{
	FUZZ_MUST(a->l1.byte == b->l1.byte && a->l1_entries == b->l1_entries);
	FUZZ_MUST(a->id_bytes == b->id_bytes && memcmp(a->id, b->id, a->id_bytes) == 0);
	FUZZ_MUST(a->name_bytes == b->name_bytes && memcmp(a->name, b->name, a->name_bytes) == 0);
	FUZZ_MUST(a->vm_state_bytes == b->vm_state_bytes);
	FUZZ_MUST(a->has_disk_bytes == b->has_disk_bytes && a->disk_bytes == b->disk_bytes);
	FUZZ_MUST(a->has_icount == b->has_icount && a->icount == b->icount);
	FUZZ_MUST(a->extra_bytes <= b->extra_bytes);
}

static void check_round_trip(const struct qc_geometry *g, const struct qc_snapshots *table)
{
	uint64_t bytes = qc_snapshots_encoded_bytes(table), needed = 0;
	uint8_t *encoded = malloc((size_t)(bytes + 1));
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	struct qc_snapshots again = {0};
	struct qc_err err;

	FUZZ_MUST(encoded != NULL);
	qc_snapshots_encode(table, encoded);
	FUZZ_MUST(qc_snapshots_decode(g, encoded, (size_t)bytes, (uint32_t)table->count, &sink,
				      &again, &needed, &err)
		  == 0);
	FUZZ_MUST(needed <= bytes && again.count == table->count);
	for (size_t i = 0; i < table->count; i++)
		check_same(&table->list[i], &again.list[i]);
	qc_snapshots_clear(&again);
	free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct qc_snapshots table = {0};
	struct qc_geometry g;
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	uint64_t needed = 0;
	uint32_t count;
	struct qc_err err;

	if (length < 3)
		return 0;
	count = (uint32_t)(bytes[1] << 8 | bytes[2]);
	qc_geometry_init(&g, bytes[0] & 1 ? 2 : 3, QC_CLUSTER_BITS_MIN + bytes[0] / 2 % 12, 4,
			 false, false);
	bytes += 3;
	length -= 3;
	if (qc_snapshots_decode(&g, bytes, length, count, &sink, &table, &needed, &err) < 0)
		return 0;
	if (needed > length) {
		FUZZ_MUST(table.count == 0 && findings == 0);
		FUZZ_MUST(needed <= QC_SNAPSHOT_TABLE_BYTES_MAX);
	} else {
		FUZZ_MUST(table.count == count);
		if (findings == 0)
			check_round_trip(&g, &table);
	}
	qc_snapshots_clear(&table);
	return 0;
}
