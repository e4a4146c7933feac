// SPDX-License-Identifier: MIT
/* The header and its extensions: what decodes without a finding encodes to what it was. */
#include "base/checked.h"
#include "format/header.h"
#include "format/header_extensions.h"
#include "fuzz/fuzz.h"

static void check_extensions(const struct qc_extensions *extensions, const uint8_t *cluster0,
			     size_t length)
{
	char name[47];

	for (size_t i = 0; i < extensions->count; i++)
		FUZZ_MUST(qc_range_fits(extensions->list[i].offset, extensions->list[i].bytes,
					length));
	for (unsigned int bit = 0; extensions->has_feature_names && bit < 64; bit++)
		for (unsigned int kind = 0; kind < 3; kind++) {
			qc_feature_name(extensions, cluster0, (uint8_t)kind, (uint8_t)bit, name);
			FUZZ_MUST(memchr(name, '\0', sizeof(name)) != NULL);
		}
	FUZZ_MUST(strlen(extensions->backing_format) <= QC_BACKING_FORMAT_BYTES_MAX);
}

/* The padding at the end of the longest header may be missing from the file. */
static void check_round_trip(const struct qc_header *header, const uint8_t *bytes, size_t length)
{
	uint8_t again[QC_HEADER_BYTES_V3] = {0};

	length = (size_t)qc_min(length, qc_min(header->header_bytes, sizeof(again)));
	memcpy(again, bytes, length);
	qc_header_encode(header, again);
	FUZZ_MUST(memcmp(again, bytes, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct qc_extensions extensions;
	struct qc_geometry geometry;
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	struct qc_header header;
	uint8_t *cluster0;
	struct qc_err err;
	size_t have;

	if (qc_header_decode(bytes, (size_t)qc_min(length, QC_SECTOR_BYTES), &sink, &header, &err)
	    < 0)
		return 0;
	FUZZ_MUST(header.cluster_bits >= QC_CLUSTER_BITS_MIN);
	FUZZ_MUST(header.cluster_bits <= QC_CLUSTER_BITS_MAX);
	FUZZ_MUST(header.refcount_order <= QC_REFCOUNT_ORDER_MAX);
	if (findings == 0)
		check_round_trip(&header, bytes, length);
	qc_header_geometry(&header, &geometry);
	have = (size_t)qc_min(length, geometry.cluster_bytes);
	cluster0 = calloc(1, (size_t)geometry.cluster_bytes);
	FUZZ_MUST(cluster0 != NULL);
	memcpy(cluster0, bytes, have);
	if (qc_extensions_decode(&header, cluster0, have, &sink, &extensions, &err) == 0) {
		check_extensions(&extensions, cluster0, (size_t)geometry.cluster_bytes);
		qc_extensions_clear(&extensions);
	}
	free(cluster0);
	return 0;
}
