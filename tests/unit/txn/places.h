// SPDX-License-Identifier: MIT
/* Where things are in an image as it is now, found from its bytes alone. */
#pragma once

#include "base/byte_order.h"
#include "format/l1_entry.h"
#include "format/l2_entry.h"
#include "format/refcount_entry.h"
#include "io/file_posix.h"
#include "unit/txn/fixture.h"

struct places {
	struct qc_header header;
	struct qc_geometry geometry;
};

static inline void places_ignore(void *context, const struct qc_finding *finding)
{
	(void)context, (void)finding;
}

static inline uint64_t word_at(struct qc_file *file, uint64_t at)
{
	uint8_t word[8];
	struct qc_err err;

	assert_int_equal(qc_file_read(file, at, word, sizeof(word), &err), 0);
	return qc_load_be64(word);
}

static inline struct places places_of(struct qc_file *file)
{
	struct qc_finding_sink sink = {.take = places_ignore};
	uint8_t sector[512];
	struct places p;
	struct qc_err err;

	assert_int_equal(qc_file_read(file, 0, sector, sizeof(sector), &err), 0);
	assert_int_equal(qc_header_decode(sector, sizeof(sector), &sink, &p.header, &err), 0);
	qc_header_geometry(&p.header, &p.geometry);
	return p;
}

/* The word of the L1 table; with COPIED. */
static inline uint64_t l1_word(struct qc_file *file, uint64_t guest)
{
	struct places p = places_of(file);

	return word_at(file, p.header.l1.byte + guest / p.geometry.l2_span_bytes * 8);
}

/* The word of the L2 table, standard entries. */
static inline uint64_t l2_word(struct qc_file *file, uint64_t guest)
{
	struct places p = places_of(file);
	uint64_t table = l1_word(file, guest) & QC_L1_OFFSET_MASK;

	assert_int_not_equal(table, 0);
	return word_at(file, table
				     + qc_l2_index(&p.geometry, qc_guest(guest))
					       * p.geometry.l2_entry_bytes);
}

static inline uint64_t refcount_of(struct qc_file *file, uint64_t host_byte)
{
	struct places p = places_of(file);
	uint64_t cluster = host_byte >> p.geometry.cluster_bits;
	uint64_t block = word_at(file, p.header.refcount_table.byte
					       + cluster / p.geometry.refcounts_per_block * 8);
	uint8_t *bytes = malloc((size_t)p.geometry.cluster_bytes);
	struct qc_err err;
	uint64_t count = 0;

	assert_non_null(bytes);
	if (block != 0) {
		assert_int_equal(qc_file_read(file, block, bytes, (size_t)p.geometry.cluster_bytes,
					      &err),
				 0);
		count = qc_refcount_get(&p.geometry, bytes,
					cluster % p.geometry.refcounts_per_block);
	}
	free(bytes);
	return count;
}

static inline void put_word(struct qc_file *file, uint64_t at, uint64_t value)
{
	uint8_t word[8];
	struct qc_err err;

	qc_store_be64(word, value);
	assert_int_equal(qc_file_write(file, at, word, sizeof(word), &err), 0);
}

/* A sparse file of those bytes, for places that memory does not reach where a pointer has 32 bits. */
static inline struct qc_file *far_file(const uint8_t *bytes, size_t length)
{
	struct qc_file *file;
	struct qc_err err;

	if (qc_file_posix_temporary(&file, &err) < 0
	    || qc_file_write(file, 0, bytes, length, &err) < 0)
		fail_msg("%s", err.text);
	return file;
}

static inline struct builder *small_clusters(uint32_t refcount_order, uint64_t disk_bytes)
{
	struct builder_options o = builder_defaults();

	o.cluster_bits = 9;
	o.refcount_order = refcount_order;
	o.disk_bytes = disk_bytes;
	return builder_new(&o);
}
