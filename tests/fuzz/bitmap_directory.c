// SPDX-License-Identifier: MIT
/* The bitmap directory. The first two bytes are the number of bitmaps. */
#include "format/bitmap_directory.h"
#include "fuzz/fuzz.h"

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
	if (findings == 0)
		FUZZ_MUST(memcmp(again, bytes, length) == 0);
	free(again);
	qc_bitmaps_clear(&bitmaps);
	return 0;
}
