// SPDX-License-Identifier: MIT
/*
 * The file, in this order, each part whole clusters with a refcount of 1: header, refcount table,
 * refcount blocks, L1 table, and for preallocated images L2 tables and the data that they map.
 * The layout is settled before anything is written, and nothing is written twice.
 */
#include "ops/create.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "format/geometry.h"
#include "format/header.h"
#include "format/header_extensions.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/limits.h"
#include "format/refcount_entry.h"
#include "io/file_posix.h"

#define ZERO_CHUNK_BYTES (1u << 20)

/* Where things go, in clusters. */
struct layout {
	uint64_t table_first, table_count; /* the refcount table */
	uint64_t block_first, block_count; /* refcount blocks */
	uint64_t l1_first, l1_count;
	uint64_t l2_first, l2_count;
	uint64_t data_first, data_count;
	uint64_t total;
	uint64_t l1_entries;
};

static void init_geometry(const struct qc_create *how, struct qc_geometry *ret)
{
	qc_geometry_init(ret, how->version, how->cluster_bits, how->refcount_order,
			 how->extended_l2, how->data_file_name);
}

/* Refcounts count themselves, so their number is where the sum stops growing. */
static void settle_refcounts(const struct qc_geometry *g, uint64_t others, struct layout *layout)
{
	uint64_t entries_per_cluster = g->cluster_bytes / sizeof(uint64_t);
	uint64_t total = 0;

	layout->table_count = 1;
	layout->block_count = 1;
	while (total != others + layout->table_count + layout->block_count) {
		total = others + layout->table_count + layout->block_count;
		layout->block_count = qc_div_up(total, g->refcounts_per_block);
		layout->table_count = qc_div_up(layout->block_count, entries_per_cluster);
	}
	layout->total = total;
}

static void settle_layout(const struct qc_create *how, const struct qc_geometry *g,
			  struct layout *ret)
{
	struct layout l = {.table_first = 1};

	/* Even an empty disk gets an L1 table, so that every image has one that can grow. */
	l.l1_entries = qc_max(qc_l1_entries_for(g, how->disk_bytes), 1);
	l.l1_count = qc_clusters_for(g, l.l1_entries * sizeof(uint64_t));
	if (how->preallocation != QC_PREALLOCATION_OFF && how->disk_bytes > 0) {
		l.l2_count = l.l1_entries;
		l.data_count = qc_clusters_for(g, how->disk_bytes);
	}
	settle_refcounts(g, 1 + l.l1_count + l.l2_count + (g->external_data ? 0 : l.data_count),
			 &l);
	l.block_first = l.table_first + l.table_count;
	l.l1_first = l.block_first + l.block_count;
	l.l2_first = l.l1_first + l.l1_count;
	l.data_first = g->external_data ? 0 : l.l2_first + l.l2_count;
	*ret = l;
}

static int check_size(const struct qc_create *how, struct qc_err *err)
{
	struct qc_geometry g;
	struct layout l;

	init_geometry(how, &g);
	if (how->disk_bytes <= QC_DISK_BYTES_MAX
	    && qc_l1_entries_for(&g, how->disk_bytes) <= QC_L1_BYTES_MAX / sizeof(uint64_t)) {
		settle_layout(how, &g, &l);
		if (l.table_count * g.cluster_bytes <= QC_REFCOUNT_TABLE_BYTES_MAX
		    && l.total <= (QC_HOST_OFFSET_MAX >> g.cluster_bits))
			return 0;
	}
	return qc_fail(err, QC_E_ARGUMENT,
		       "the disk is too large for clusters of %" PRIu64 " bytes", g.cluster_bytes);
}

static int check_version_2(const struct qc_create *how, struct qc_err *err)
{
	const char *what = NULL;

	if (how->lazy_refcounts)
		what = "lazy refcounts";
	else if (how->refcount_order != QC_REFCOUNT_ORDER_V2)
		what = "refcount width but 16 bits";
	else if (how->compression != QC_COMPRESSION_ZLIB)
		what = "compression type but zlib";
	else if (how->extended_l2)
		what = "extended L2 entries";
	else if (how->data_file_name)
		what = "external data files";
	if (!what)
		return 0;
	return qc_fail(err, QC_E_ARGUMENT, "compatibility level 0.10 has no %s", what);
}

static int check_backing(const struct qc_create *how, struct qc_err *err)
{
	if (!how->backing_name)
		return 0;
	if (how->preallocation != QC_PREALLOCATION_OFF && !how->extended_l2)
		return qc_fail(err, QC_E_ARGUMENT,
			       "preallocation with a backing file needs extended_l2=on");
	if (strlen(how->backing_name) > QC_BACKING_NAME_BYTES_MAX)
		return qc_fail(err, QC_E_ARGUMENT, "the backing file's name is too long");
	if (strlen(how->backing_format) > QC_BACKING_FORMAT_BYTES_MAX)
		return qc_fail(err, QC_E_ARGUMENT, "the backing format's name is too long");
	return 0;
}

static int check_data_file(const struct qc_create *how, struct qc_err *err)
{
	if (how->data_file_raw && !how->data_file_name)
		return qc_fail(err, QC_E_ARGUMENT, "data_file_raw needs a data_file");
	if (how->data_file_raw && how->backing_name)
		return qc_fail(err, QC_E_ARGUMENT,
			       "a data file that is a raw image (data_file_raw) and a backing file "
			       "exclude each other");
	return 0;
}

int qc_create_check(const struct qc_create *how, struct qc_err *err)
{
	int status;

	if (how->cluster_bits < QC_CLUSTER_BITS_MIN || how->cluster_bits > QC_CLUSTER_BITS_MAX)
		return qc_fail(err, QC_E_ARGUMENT,
			       "the cluster size must be a power of two from 512 to 2M");
	if (how->extended_l2 && how->cluster_bits < QC_CLUSTER_BITS_MIN_EXTENDED_L2)
		return qc_fail(err, QC_E_ARGUMENT,
			       "extended L2 entries need clusters of at least 16k");
	if (how->refcount_order > QC_REFCOUNT_ORDER_MAX)
		return qc_fail(err, QC_E_ARGUMENT,
			       "the refcount width must be a power of two up to 64 bits");
	if (how->version < 3) {
		status = check_version_2(how, err);
		if (status < 0)
			return status;
	}
	status = check_data_file(how, err);
	if (status == 0)
		status = check_backing(how, err);
	return status < 0 ? status : check_size(how, err);
}

static void fill_header(const struct qc_create *how, const struct qc_geometry *g,
			const struct layout *l, struct qc_header *ret)
{
	*ret = (struct qc_header){
		.version = how->version,
		.cluster_bits = how->cluster_bits,
		.disk_bytes = how->disk_bytes,
		.l1_entries = (uint32_t)l->l1_entries,
		.l1 = qc_host_of_cluster(g, l->l1_first),
		.refcount_table = qc_host_of_cluster(g, l->table_first),
		.refcount_table_clusters = (uint32_t)l->table_count,
		.refcount_order = how->refcount_order,
		.header_bytes = how->version < 3 ? QC_HEADER_BYTES_V2 : QC_HEADER_BYTES_V3,
		.compression = (uint8_t)how->compression,
	};
	if (how->compression != QC_COMPRESSION_ZLIB)
		ret->incompatible |= QC_INCOMPAT_COMPRESSION;
	if (how->extended_l2)
		ret->incompatible |= QC_INCOMPAT_EXTENDED_L2;
	if (how->lazy_refcounts)
		ret->compatible |= QC_COMPAT_LAZY_REFCOUNTS;
	if (how->data_file_name)
		ret->incompatible |= QC_INCOMPAT_DATA_FILE;
	if (how->data_file_raw)
		ret->autoclear |= QC_AUTOCLEAR_DATA_RAW;
}

/* The extensions, and the backing file's name behind them. */
static int put_names(const struct qc_create *how, const struct qc_geometry *g,
		     struct qc_header *header, uint8_t *cluster0, struct qc_err *err)
{
	uint32_t limit = (uint32_t)g->cluster_bytes;
	uint32_t offset = header->header_bytes;
	size_t length;

	if (how->data_file_name
	    && !qc_extension_encode(QC_EXTENSION_DATA_FILE, how->data_file_name,
				    (uint32_t)strlen(how->data_file_name), cluster0, limit,
				    &offset))
		return qc_fail(err, QC_E_ARGUMENT,
			       "the data file's name does not fit into the header");
	if (!how->backing_name)
		return qc_extension_encode(QC_EXTENSION_END, NULL, 0, cluster0, limit, &offset)
			       ? 0
			       : qc_fail(err, QC_E_ARGUMENT, "no room in the header");
	length = strlen(how->backing_name);
	if (!qc_extension_encode(QC_EXTENSION_BACKING_FORMAT, how->backing_format,
				 (uint32_t)strlen(how->backing_format), cluster0, limit, &offset)
	    || !qc_extension_encode(QC_EXTENSION_END, NULL, 0, cluster0, limit, &offset)
	    || !qc_range_fits(offset, length, limit))
		return qc_fail(err, QC_E_ARGUMENT,
			       "the backing file's name does not fit into the header");
	memcpy(cluster0 + offset, how->backing_name, length);
	header->backing_name = qc_host(offset);
	header->backing_name_bytes = (uint32_t)length;
	return 0;
}

/* A new image under way. */
struct writing {
	const struct qc_create *how;
	struct qc_file *file;
	struct qc_geometry g;
	struct layout l;
	uint8_t *cluster; /* scratch */
};

static int write_cluster(const struct writing *w, uint64_t cluster, struct qc_err *err)
{
	return qc_file_write(w->file, cluster << w->g.cluster_bits, w->cluster,
			     (size_t)w->g.cluster_bytes, err);
}

static int write_header(const struct writing *w, struct qc_err *err)
{
	struct qc_header header;
	int status;

	fill_header(w->how, &w->g, &w->l, &header);
	memset(w->cluster, 0, (size_t)w->g.cluster_bytes);
	status = put_names(w->how, &w->g, &header, w->cluster, err);
	if (status < 0)
		return status;
	qc_header_encode(&header, w->cluster);
	return write_cluster(w, 0, err);
}

/*
 * Writes a table of `entries` words that say `first`, `first` + one cluster and so on, with
 * `flags` in each; no entries leave a table of zeroes.
 */
static int write_words(const struct writing *w, uint64_t at_cluster, uint64_t clusters,
		       uint64_t first, uint64_t entries, uint64_t flags, struct qc_err *err)
{
	uint64_t per_cluster = w->g.cluster_bytes / sizeof(uint64_t);
	uint64_t done = 0;
	int status;

	for (uint64_t c = 0; c < clusters; c++) {
		memset(w->cluster, 0, (size_t)w->g.cluster_bytes);
		for (uint64_t i = 0; i < per_cluster && done < entries; i++, done++)
			qc_store_be64(w->cluster + i * sizeof(uint64_t),
				      ((first + done) << w->g.cluster_bits) | flags);
		status = write_cluster(w, at_cluster + c, err);
		if (status < 0)
			return status;
	}
	return 0;
}

static int write_refcount_blocks(const struct writing *w, struct qc_err *err)
{
	uint64_t left = w->l.total;
	uint64_t count;
	int status;

	for (uint64_t b = 0; b < w->l.block_count; b++, left -= count) {
		count = qc_min(left, w->g.refcounts_per_block);
		memset(w->cluster, 0, (size_t)w->g.cluster_bytes);
		for (uint64_t i = 0; i < count; i++)
			qc_refcount_set(&w->g, w->cluster, i, 1);
		status = write_cluster(w, w->l.block_first + b, err);
		if (status < 0)
			return status;
	}
	return 0;
}

/*
 * With subclusters, a cluster that is there but says nothing yet still shows the backing file. So
 * those bits stay empty.
 */
static int write_l2_tables(const struct writing *w, struct qc_err *err)
{
	struct qc_l2_entry entry = {.copied = true, .allocated = w->how->extended_l2 ? 0 : 1};
	uint64_t done = 0;
	int status;

	for (uint64_t t = 0; t < w->l.l2_count; t++) {
		memset(w->cluster, 0, (size_t)w->g.cluster_bytes);
		for (uint64_t i = 0; i < w->g.l2_entries && done < w->l.data_count; i++, done++) {
			entry.host = qc_host_of_cluster(&w->g, w->l.data_first + done);
			qc_l2_store(&w->g, w->cluster, i, qc_l2_encode(&w->g, &entry));
		}
		status = write_cluster(w, w->l.l2_first + t, err);
		if (status < 0)
			return status;
	}
	return 0;
}

static int write_zeroes(const struct qc_create *how, struct qc_file *file, uint64_t offset,
			uint64_t length, struct qc_err *err)
{
	QC_AUTOFREE uint8_t *zeroes = calloc(1, ZERO_CHUNK_BYTES);
	size_t step;
	int status;

	if (!zeroes)
		return qc_fail_memory(err);
	for (uint64_t done = 0; done < length; done += step) {
		qc_progress_step(how->progress, done, length);
		step = (size_t)qc_min(length - done, ZERO_CHUNK_BYTES);
		status = qc_file_write(file, offset + done, zeroes, step, err);
		if (status < 0)
			return status;
	}
	qc_progress_step(how->progress, length, length);
	return 0;
}

static int make_data(const struct qc_create *how, struct qc_file *file, uint64_t offset,
		     uint64_t length, struct qc_err *err)
{
	int status;

	if (length == 0)
		return 0;
	if (how->preallocation == QC_PREALLOCATION_FULL)
		return write_zeroes(how, file, offset, length, err);
	status = qc_file_resize(file, offset + length, err);
	if (status < 0 || how->preallocation != QC_PREALLOCATION_FALLOC)
		return status;
	return qc_file_posix_reserve(file, offset, length, err);
}

int qc_create_write_data(const struct qc_create *how, struct qc_file *file, struct qc_err *err)
{
	return make_data(how, file, 0, how->disk_bytes, err);
}

static int write_all(const struct writing *w, struct qc_err *err)
{
	const struct layout *l = &w->l;
	int status;

	status = write_header(w, err);
	if (status == 0)
		status = write_words(w, l->table_first, l->table_count, l->block_first,
				     l->block_count, 0, err);
	if (status == 0)
		status = write_refcount_blocks(w, err);
	if (status == 0)
		status = write_words(w, l->l1_first, l->l1_count, l->l2_first, l->l2_count,
				     QC_L1_COPIED, err);
	if (status == 0)
		status = write_l2_tables(w, err);
	if (status < 0 || w->g.external_data)
		return status;
	return make_data(w->how, w->file, l->data_first << w->g.cluster_bits,
			 l->data_count << w->g.cluster_bits, err);
}

int qc_create_write(const struct qc_create *how, struct qc_file *file, struct qc_err *err)
{
	struct writing w = {.how = how, .file = file};
	int status;

	init_geometry(how, &w.g);
	settle_layout(how, &w.g, &w.l);
	w.cluster = malloc((size_t)w.g.cluster_bytes);
	if (!w.cluster)
		return qc_fail_memory(err);
	status = write_all(&w, err);
	free(w.cluster);
	return status;
}
