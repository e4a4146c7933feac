// SPDX-License-Identifier: MIT
#include "image/thin.h"

#include <stdlib.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/limits.h"
#include "format/refcount_entry.h"
#include "io/file_posix.h"

/* Used clusters among the first `count` of a block, as far as that matters: at most `enough`. */
static uint64_t used_in_block(const struct qc_geometry *g, const uint8_t *block, uint64_t count,
			      uint64_t enough)
{
	uint64_t used = 0, first, end = 0;

	while (end < count && used < enough) {
		first = qc_refcount_next_used(g, block, end);
		if (first >= count)
			break;
		end = qc_min(qc_refcount_next_free(g, block, first), count);
		used += end - first;
	}
	return used;
}

static int load_refcount_table(struct qc_image *image, uint64_t blocks, uint64_t **ret,
			       struct qc_err *err)
{
	uint64_t *table = malloc((size_t)qc_max(blocks * sizeof(*table), 1));
	int status;

	if (!table)
		return qc_fail_memory(err);
	status = qc_file_read(image->file, image->header.refcount_table.byte, table,
			      (size_t)(blocks * sizeof(*table)), err);
	if (status < 0) {
		free(table);
		return status;
	}
	for (uint64_t i = 0; i < blocks; i++)
		table[i] = qc_load_be64(&table[i]);
	*ret = table;
	return 0;
}

/* Whether at least `enough` of the file's clusters are in use. Negative if that cannot be said. */
static int has_used_clusters(struct qc_image *image, uint64_t enough, struct qc_err *err)
{
	const struct qc_geometry *g = &image->geometry;
	uint64_t clusters = qc_clusters_for(g, image->file->bytes);
	uint64_t table_bytes = image->header.refcount_table_clusters * g->cluster_bytes;
	QC_AUTOFREE uint8_t *block = malloc((size_t)g->cluster_bytes);
	QC_AUTOFREE uint64_t *table = NULL;
	uint64_t blocks, used = 0;
	int status;

	if (!block)
		return qc_fail_memory(err);
	blocks = qc_min(qc_min(table_bytes, QC_REFCOUNT_TABLE_BYTES_MAX) / sizeof(*table),
			qc_div_up(clusters, g->refcounts_per_block));
	status = load_refcount_table(image, blocks, &table, err);
	if (status < 0)
		return status;
	for (uint64_t i = 0; i < blocks && used < enough; i++) {
		uint64_t at = table[i] & QC_REFCOUNT_TABLE_OFFSET_MASK;

		if (at == 0)
			continue;
		if (!qc_range_fits(at, g->cluster_bytes, QC_DISK_BYTES_MAX))
			return qc_fail(err, QC_E_FORMAT, "a refcount block is out of place");
		status = qc_file_read(image->file, at, block, (size_t)g->cluster_bytes, err);
		if (status < 0)
			return status;
		used += used_in_block(g, block,
				      qc_min(clusters - i * g->refcounts_per_block,
					     g->refcounts_per_block),
				      enough - used);
	}
	return used >= enough;
}

bool qc_image_is_thin(struct qc_image *image)
{
	struct qc_err ignored;
	uint64_t occupied, clusters, enough;

	if (image->thin != QC_THIN_UNKNOWN)
		return image->thin == QC_THIN_YES;
	image->thin = QC_THIN_NO;
	if (!qc_file_posix_occupied(image->file, &occupied))
		return false;
	clusters = occupied >> image->geometry.cluster_bits;
	enough = qc_max(clusters * 10 / 9, clusters + 2);
	if (has_used_clusters(image, enough, &ignored) > 0)
		image->thin = QC_THIN_YES;
	return image->thin == QC_THIN_YES;
}
