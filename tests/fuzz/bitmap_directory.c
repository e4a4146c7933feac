// SPDX-License-Identifier: MIT
/* The bitmap directory. The first two bytes are the number of bitmaps. */
#include "format/bitmap_directory.h"
#include "fuzz/fuzz.h"

/* Decoded again, all is the same; only padding may differ from the original's bytes. */
static void check_same(const struct qc_bitmaps *bitmaps, const uint8_t *encoded, size_t length)
{
	struct qc_bitmaps again = {0};
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	struct qc_err err;

	FUZZ_MUST(qc_bitmaps_decode(encoded, length, (uint32_t)bitmaps->count, &sink, &again, &err)
		  == 0);
	for (size_t i = 0; i < bitmaps->count; i++) {
		const struct qc_bitmap *a = &bitmaps->list[i], *b = &again.list[i];

		FUZZ_MUST(a->table.byte == b->table.byte && a->table_entries == b->table_entries);
		FUZZ_MUST(a->flags == b->flags && a->type == b->type);
		FUZZ_MUST(a->granularity_bits == b->granularity_bits);
		FUZZ_MUST(a->name_bytes == b->name_bytes && a->extra_bytes == b->extra_bytes);
		FUZZ_MUST(memcmp(a->name, b->name, a->name_bytes) == 0);
		FUZZ_MUST(memcmp(a->extra, b->extra, a->extra_bytes) == 0);
	}
	qc_bitmaps_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct qc_bitmaps bitmaps = {0};
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	uint8_t *again;
	uint32_t count;
	struct qc_err err;

	if (length < 2)
		return 0;
	count = (uint32_t)(bytes[0] << 8 | bytes[1]);
	bytes += 2;
	length -= 2;
	if (qc_bitmaps_decode(bytes, length, count, &sink, &bitmaps, &err) < 0)
		return 0;
	FUZZ_MUST(bitmaps.count == count);
	FUZZ_MUST(qc_bitmaps_encoded_bytes(&bitmaps) == length);
	again = malloc(length + 1);
	FUZZ_MUST(again != NULL);
	qc_bitmaps_encode(&bitmaps, again);
	check_same(&bitmaps, again, length);
	free(again);
	qc_bitmaps_clear(&bitmaps);
	return 0;
}
