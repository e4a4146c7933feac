// SPDX-License-Identifier: MIT
#include "tests/support/image_builder_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "format/compressed_desc.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/limits.h"

void builder_must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "image builder: %s\n", what);
	abort();
}

void *builder_grow(void *list, size_t count, size_t item_bytes)
{
	void *grown = reallocarray(list, count, item_bytes);

	builder_must(grown != NULL, "out of memory");
	return grown;
}

uint64_t builder_allocate(struct builder *b, uint64_t clusters)
{
	uint64_t cluster_bytes = b->geometry.cluster_bytes;
	uint64_t first = b->clusters;

	if (first + clusters > b->room) {
		b->room = 2 * (first + clusters);
		b->bytes = builder_grow(b->bytes, (size_t)b->room, (size_t)cluster_bytes);
	}
	memset(b->bytes + first * cluster_bytes, 0, (size_t)(clusters * cluster_bytes));
	b->clusters += clusters;
	return first * cluster_bytes;
}

struct builder_options builder_defaults(void)
{
	return (struct builder_options){
		.version = 3,
		.cluster_bits = QC_CLUSTER_BITS_DEFAULT,
		.refcount_order = QC_REFCOUNT_ORDER_V2,
		.disk_bytes = 1 << 20,
	};
}

static void set_up_header(struct builder *b)
{
	const struct builder_options *o = &b->options;
	uint32_t usual_bytes = o->version == 2 ? QC_HEADER_BYTES_V2 : QC_HEADER_BYTES_V3;

	b->header = (struct qc_header){
		.version = o->version,
		.cluster_bits = o->cluster_bits,
		.disk_bytes = o->disk_bytes,
		.incompatible = o->incompatible | (o->extended_l2 ? QC_INCOMPAT_EXTENDED_L2 : 0)
				| (o->compression ? QC_INCOMPAT_COMPRESSION : 0),
		.compatible = o->compatible,
		.autoclear = o->autoclear,
		.refcount_order = o->refcount_order,
		.header_bytes = o->header_bytes ? o->header_bytes : usual_bytes,
		.compression = (uint8_t)o->compression,
	};
	qc_header_geometry(&b->header, &b->geometry);
}

struct builder *builder_new(const struct builder_options *options)
{
	struct builder *b = calloc(1, sizeof(*b));
	uint64_t l1_entries;

	builder_must(b != NULL, "out of memory");
	b->options = options ? *options : builder_defaults();
	set_up_header(b);
	l1_entries = qc_l1_entries_for(&b->geometry, b->options.disk_bytes) + b->options.l1_slack;
	builder_must(l1_entries <= QC_L1_BYTES_MAX / 8, "the disk is too large");
	b->l2_shared = calloc((size_t)(l1_entries + 1), sizeof(*b->l2_shared));
	builder_must(b->l2_shared != NULL, "out of memory");
	builder_allocate(b, 1);
	b->header.l1_entries = (uint32_t)l1_entries;
	b->header.l1 = qc_host(
		builder_allocate(b, qc_max(1, qc_clusters_for(&b->geometry, l1_entries * 8))));
	return b;
}

void builder_free(struct builder *b)
{
	if (!b)
		return;
	qc_snapshots_clear(&b->snapshots);
	qc_bitmaps_clear(&b->bitmaps);
	for (size_t i = 0; i < b->extension_count; i++)
		free(b->extensions[i].payload);
	free(b->extensions);
	free(b->l2_shared);
	free(b->bytes);
	free(b);
}

/* The active L2 table of a guest cluster, made or unshared if need be. */
static uint64_t own_l2_table(struct builder *b, uint64_t guest_cluster)
{
	uint64_t index = guest_cluster / b->geometry.l2_entries;
	uint64_t entry_at = b->header.l1.byte + index * 8;
	uint64_t old, new;

	builder_must(!b->finished, "the image is finished");
	builder_must(index < b->header.l1_entries, "guest cluster beyond the L1 table");
	old = qc_load_be64(b->bytes + entry_at) & QC_L1_OFFSET_MASK;
	if (old != 0 && !b->l2_shared[index])
		return old;
	new = builder_allocate(b, 1);
	if (old != 0)
		memcpy(b->bytes + new, b->bytes + old, (size_t)b->geometry.cluster_bytes);
	qc_store_be64(b->bytes + entry_at, new);
	b->l2_shared[index] = false;
	return new;
}

static void set_entry(struct builder *b, uint64_t guest_cluster, const struct qc_l2_entry *entry)
{
	uint64_t table = own_l2_table(b, guest_cluster);

	builder_must(!b->geometry.external_data || !entry->compressed,
		     "compressed clusters in a data file");
	qc_l2_store(&b->geometry, b->bytes + table, guest_cluster % b->geometry.l2_entries,
		    qc_l2_encode(&b->geometry, entry));
}

static uint64_t allocate_filled(struct builder *b, const void *bytes)
{
	uint64_t at = builder_allocate(b, 1);

	memcpy(b->bytes + at, bytes, (size_t)b->geometry.cluster_bytes);
	return at;
}

/* The place of a cluster in a data file, whose bytes are not ours. */
static void give_own_place(const struct builder *b, uint64_t guest_cluster,
			   struct qc_l2_entry *entry)
{
	entry->host = qc_host(guest_cluster << b->geometry.cluster_bits);
	entry->copied = true;
}

static void give_cluster(struct builder *b, uint64_t guest_cluster, const void *bytes,
			 struct qc_l2_entry *entry)
{
	if (b->geometry.external_data)
		give_own_place(b, guest_cluster, entry);
	else
		entry->host = qc_host(allocate_filled(b, bytes));
}

void builder_data(struct builder *b, uint64_t guest_cluster, const void *bytes)
{
	struct qc_l2_entry entry = {.allocated = qc_all_subclusters(&b->geometry)};

	give_cluster(b, guest_cluster, bytes, &entry);
	set_entry(b, guest_cluster, &entry);
}

void builder_unallocated(struct builder *b, uint64_t guest_cluster)
{
	set_entry(b, guest_cluster, &(struct qc_l2_entry){0});
}

void builder_zero(struct builder *b, uint64_t guest_cluster)
{
	struct qc_l2_entry entry = {.zero = qc_all_subclusters(&b->geometry)};

	builder_must(b->options.version >= 3, "version 2 has no zero clusters");
	set_entry(b, guest_cluster, &entry);
}

void builder_zero_alloc(struct builder *b, uint64_t guest_cluster)
{
	struct qc_l2_entry entry = {.zero = qc_all_subclusters(&b->geometry)};

	builder_must(b->options.version >= 3, "version 2 has no zero clusters");
	if (b->geometry.external_data) {
		give_own_place(b, guest_cluster, &entry);
	} else {
		entry.host = qc_host(builder_allocate(b, 1));
		memset(b->bytes + entry.host.byte, 0xee, (size_t)b->geometry.cluster_bytes);
	}
	set_entry(b, guest_cluster, &entry);
}

void builder_subclusters(struct builder *b, uint64_t guest_cluster, const void *bytes,
			 uint32_t allocated, uint32_t zero)
{
	struct qc_l2_entry entry = {.allocated = allocated, .zero = zero};

	builder_must(b->geometry.extended_l2, "subclusters need extended L2 entries");
	builder_must((allocated & zero) == 0, "a subcluster is allocated or zero, not both");
	give_cluster(b, guest_cluster, bytes, &entry);
	set_entry(b, guest_cluster, &entry);
}

static size_t deflate_cluster(const void *bytes, size_t length, uint8_t *to, size_t room)
{
	z_stream stream = {0};

	builder_must(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9,
				  Z_DEFAULT_STRATEGY)
			     == Z_OK,
		     "zlib refuses");
	stream.next_in = (Bytef *)(uintptr_t)bytes;
	stream.avail_in = (uInt)length;
	stream.next_out = to;
	stream.avail_out = (uInt)room;
	builder_must(deflate(&stream, Z_FINISH) == Z_STREAM_END, "the data cannot be compressed");
	deflateEnd(&stream);
	return room - stream.avail_out;
}

static size_t compress_cluster(const struct builder *b, const void *bytes, uint8_t *to, size_t room)
{
	size_t length = (size_t)b->geometry.cluster_bytes;
	size_t compressed;

	if (b->options.compression == QC_COMPRESSION_ZLIB)
		return deflate_cluster(bytes, length, to, room);
	compressed = ZSTD_compress(to, room, bytes, length, 1);
	builder_must(!ZSTD_isError(compressed), "the data cannot be compressed");
	return compressed;
}

/* at 0: wherever there is room */
static void put_compressed(struct builder *b, uint64_t guest_cluster, const void *bytes,
			   uint64_t at)
{
	size_t room = (size_t)(2 * b->geometry.cluster_bytes) - QC_SECTOR_BYTES;
	uint8_t *compressed = builder_grow(NULL, 1, room);
	size_t length = compress_cluster(b, bytes, compressed, room);
	struct qc_l2_entry entry = {.compressed = true, .compressed_bytes = length};
	uint64_t end;

	if (at == 0)
		at = b->packed_at ? b->packed_at : b->clusters * b->geometry.cluster_bytes;
	end = at + length;
	/* Only the last cluster of the file can grow into the next. */
	if (qc_align_up(at, b->geometry.cluster_bytes) < b->clusters * b->geometry.cluster_bytes
	    && qc_in_cluster(&b->geometry, at) + length > b->geometry.cluster_bytes) {
		at = b->clusters * b->geometry.cluster_bytes;
		end = at + length;
	}
	if (end > b->clusters * b->geometry.cluster_bytes)
		builder_allocate(b, qc_clusters_for(&b->geometry, end) - b->clusters);
	memcpy(b->bytes + at, compressed, length);
	free(compressed);
	b->packed_at = qc_in_cluster(&b->geometry, end) ? end : 0;
	entry.host = qc_host(at);
	set_entry(b, guest_cluster, &entry);
}

void builder_compressed(struct builder *b, uint64_t guest_cluster, const void *bytes)
{
	put_compressed(b, guest_cluster, bytes, 0);
}

void builder_compressed_at(struct builder *b, uint64_t guest_cluster, const void *bytes,
			   uint64_t in_cluster)
{
	builder_must(in_cluster < b->geometry.cluster_bytes, "not inside the cluster");
	put_compressed(b, guest_cluster, bytes, builder_allocate(b, 1) + in_cluster);
}

void builder_skip_clusters(struct builder *b, uint64_t count)
{
	builder_allocate(b, count);
}

void builder_snapshot(struct builder *b, const char *id, const char *name)
{
	uint64_t l1_bytes = (uint64_t)b->header.l1_entries * 8;
	uint64_t copy = builder_allocate(b, qc_max(1, qc_clusters_for(&b->geometry, l1_bytes)));
	struct qc_snapshots *all = &b->snapshots;

	memcpy(b->bytes + copy, b->bytes + b->header.l1.byte, (size_t)l1_bytes);
	memset(b->l2_shared, true, b->header.l1_entries);
	all->list = builder_grow(all->list, all->count + 1, sizeof(*all->list));
	all->list[all->count++] = (struct qc_snapshot){
		.l1 = qc_host(copy),
		.l1_entries = b->header.l1_entries,
		.id = strdup(id),
		.name = strdup(name),
		.id_bytes = (uint16_t)strlen(id),
		.name_bytes = (uint16_t)strlen(name),
		.date_sec = 1700000000,
		.has_disk_bytes = true,
		.disk_bytes = b->options.disk_bytes,
		.has_icount = true,
		.icount = UINT64_MAX, /* "not recorded" */
	};
}

void builder_bitmap(struct builder *b, const char *name, uint8_t granularity_bits, uint32_t flags)
{
	uint64_t bits =
		qc_max(1, qc_div_up(b->options.disk_bytes, UINT64_C(1) << granularity_bits));
	uint64_t entries = qc_clusters_for(&b->geometry, qc_div_up(bits, 8));
	uint64_t table = builder_allocate(b, qc_clusters_for(&b->geometry, entries * 8));
	uint64_t data = builder_allocate(b, 1);
	struct qc_bitmaps *all = &b->bitmaps;

	b->bytes[data] = 1;
	qc_store_be64(b->bytes + table, data);
	all->list = builder_grow(all->list, all->count + 1, sizeof(*all->list));
	all->list[all->count++] = (struct qc_bitmap){
		.table = qc_host(table),
		.table_entries = (uint32_t)entries,
		.flags = flags,
		.type = 1,
		.granularity_bits = granularity_bits,
		.name = strdup(name),
		.name_bytes = (uint16_t)strlen(name),
	};
}

void builder_extension(struct builder *b, uint32_t type, const void *payload, uint32_t bytes)
{
	struct builder_bytes *added;

	b->extensions = builder_grow(b->extensions, b->extension_count + 1, sizeof(*b->extensions));
	added = &b->extensions[b->extension_count++];
	*added = (struct builder_bytes){.type = type, .length = bytes};
	added->payload = builder_grow(NULL, 1, bytes + 1);
	memcpy(added->payload, payload, bytes);
}
