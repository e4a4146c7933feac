// SPDX-License-Identifier: MIT
/*
 * The entries of one L2 table. They are judged from their bits here, not by the decoder that the
 * rest of the program uses, so that a mistake there shows.
 *
 * Runs of plain clusters that follow each other in the file, which is what nearly all entries are,
 * are found in one tight loop and then counted and compared 64 at a time.
 */
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/checked.h"
#include "check/check_impl.h"
#include "format/l2_entry.h"

/* What is the same for all entries of a table, and where the last cluster ended. */
struct table {
	struct qc_check *check;
	const struct qc_check_l2 *l2;
	uint64_t next_contiguous; /* 0: nothing yet */
};

static struct qc_check_place place_of(const struct table *t, uint64_t index)
{
	struct qc_check_place place = qc_check_place_of(t->check, t->l2->owner);

	place.has_guest = true;
	place.guest = qc_guest(t->l2->l1_index * t->check->geometry.l2_span_bytes
			       + (index << t->check->geometry.cluster_bits));
	return place;
}

static void report_copied(struct table *t, uint64_t index, uint64_t entry, uint64_t refcount)
{
	struct qc_check_place place = place_of(t, index);

	qc_check_report(t->check, QC_FINDING_COPIED_DATA, t->l2->copied_weight,
			qc_host(entry & QC_L2_OFFSET_MASK), &place,
			"OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64, entry,
			refcount);
}

/* COPIED of one cluster, by its exact stored refcount. */
static int check_copied_one(struct table *t, uint64_t index, uint64_t entry, struct qc_err *err)
{
	struct qc_check *check = t->check;
	uint64_t cluster = (entry & QC_L2_OFFSET_MASK) >> check->geometry.cluster_bits;
	uint64_t refcount = 1;
	bool known = true;
	int status = 0;

	if (!check->geometry.external_data)
		status = qc_stored_get(check, cluster, &known, &refcount, err);
	if (status == 0 && known && (refcount == 1) != ((entry & QC_L2_COPIED) != 0))
		report_copied(t, index, entry, refcount);
	return status;
}

/* COPIED of `count` clusters in a row, of which `entry` is the first one's. */
static int check_copied_run(struct table *t, uint64_t index, uint64_t entry, uint64_t count,
			    struct qc_err *err)
{
	const struct qc_counts *shown = &t->check->stored.shown;
	uint64_t first = (entry & QC_L2_OFFSET_MASK) >> t->check->geometry.cluster_bits;
	bool exact = t->check->stored.unreadable || first + count > shown->clusters;
	bool copied = (entry & QC_L2_COPIED) != 0;
	int status = 0;

	for (uint64_t done = 0, part; done < count && status == 0; done += part) {
		uint64_t at = (first + done) % 64;
		struct qc_counts_word word = qc_counts_word(shown, (first + done) / 64);
		uint64_t ones = word.low & ~word.high;
		uint64_t wrong = (copied ? ~ones : ones) >> at;

		part = qc_min(count - done, 64 - at);
		if (part < 64)
			wrong &= (UINT64_C(1) << part) - 1;
		if (exact)
			wrong = part == 64 ? ~UINT64_C(0) : (UINT64_C(1) << part) - 1;
		for (; wrong && status == 0; wrong &= wrong - 1) {
			uint64_t n = done + (uint64_t)__builtin_ctzll(wrong);

			status = check_copied_one(t, index + n,
						  entry + (n << t->check->geometry.cluster_bits),
						  err);
		}
	}
	return status;
}

/* Clusters past the end of the file are reported one by one, the rest is counted at once. */
static int count_run(struct table *t, uint64_t index, uint64_t offset, uint64_t count,
		     struct qc_err *err)
{
	struct qc_check *check = t->check;
	const struct qc_geometry *g = &check->geometry;
	uint64_t file_clusters = qc_clusters_for(g, check->file->bytes);
	uint64_t first = offset >> g->cluster_bits;
	uint64_t inside = first < file_clusters ? qc_min(count, file_clusters - first) : 0;
	struct qc_check_place place = place_of(t, index);
	int status = qc_check_count(check, offset, inside << g->cluster_bits, t->l2->weight, &place,
				    err);

	for (uint64_t n = inside; n < count && status == 0; n++) {
		place = place_of(t, index + n);
		status = qc_check_count(check, offset + (n << g->cluster_bits), g->cluster_bytes,
					t->l2->weight, &place, err);
	}
	return status;
}

static void add_allocated(struct table *t, uint64_t offset, uint64_t count)
{
	struct qc_check_result *result = &t->check->result;

	result->allocated_clusters += t->l2->active * count;
	if (t->next_contiguous != 0 && t->next_contiguous != offset)
		result->fragmented_clusters += t->l2->active;
	t->next_contiguous = offset + (count << t->check->geometry.cluster_bits);
}

/* `count` plain clusters in a row: aligned, nothing but an offset and perhaps COPIED in the entry. */
static int take_run(struct table *t, uint64_t index, uint64_t entry, uint64_t count,
		    struct qc_err *err)
{
	uint64_t offset = entry & QC_L2_OFFSET_MASK;
	int status;

	add_allocated(t, offset, count);
	qc_check_claim_for(t->check, QC_CLAIM_DATA, t->l2->active > 0);
	status = count_run(t, index, offset, count, err);
	if (status == 0 && t->l2->copied_weight > 0)
		status = check_copied_run(t, index, entry, count, err);
	return status;
}

static int take_compressed(struct table *t, uint64_t index, struct qc_l2_words words,
			   struct qc_err *err)
{
	struct qc_check *check = t->check;
	struct qc_check_place place = place_of(t, index);
	uint32_t offset_bits = 62 - (check->geometry.cluster_bits - 8);
	uint64_t offset = words.entry & ((UINT64_C(1) << offset_bits) - 1);
	uint64_t sectors = ((words.entry & ~(QC_L2_COPIED | QC_L2_COMPRESSED)) >> offset_bits) + 1;
	uint64_t bytes = sectors * 512 - offset % 512;
	int status;

	if (words.entry & QC_L2_COPIED)
		qc_check_report(check, QC_FINDING_COPIED_COMPRESSED, t->l2->weight, qc_host(offset),
				&place,
				"coffset=%#" PRIx64
				": copied flag must never be set for compressed clusters",
				offset);
	if (check->geometry.external_data) {
		qc_check_report(check, QC_FINDING_L2_COMPRESSED_EXTERNAL, t->l2->weight,
				qc_host(offset), &place,
				"compressed cluster %" PRIu64 " with data file, entry=%#" PRIx64,
				index, words.entry & ~QC_L2_COPIED);
		return 0;
	}
	if (words.bitmap != 0) {
		qc_check_report(check, QC_FINDING_L2_COMPRESSED_BITMAP, t->l2->weight,
				qc_host(offset), &place,
				"compressed cluster %" PRIu64 " with non-zero subcluster "
				"allocation bitmap, entry=%#" PRIx64,
				index, words.entry & ~QC_L2_COPIED);
		return 0;
	}
	check->result.allocated_clusters += t->l2->active;
	check->result.compressed_clusters += t->l2->active;
	/* Their place is a matter of bytes, so neighbours are never contiguous. */
	check->result.fragmented_clusters += t->l2->active;
	qc_check_claim_for(check, QC_CLAIM_COMPRESSED, t->l2->active > 0);
	status = qc_check_count(check, offset, bytes, t->l2->weight, &place, err);
	if (status == 0 && check->options->deep && !place.apart && offset < check->file->bytes
	    && qc_range_fits(offset, bytes, check->file->bytes + check->geometry.cluster_bytes - 1))
		status = qc_check_add_stream(check, offset, bytes, place.guest.byte, t->l2->owner,
					     err);
	return status;
}

/*
 * Whether the entry has no data, and the cluster that it sets aside is not aligned: a repair clears it,
 * and no guest loses anything.
 */
static bool is_idle(const struct qc_geometry *g, struct qc_l2_words words)
{
	bool has_data = g->extended_l2 ? (uint32_t)words.bitmap != 0
				       : (words.entry & QC_L2_ZERO) == 0;

	return (words.entry & QC_L2_COMPRESSED) == 0 && !has_data
	       && !qc_is_aligned(words.entry & QC_L2_OFFSET_MASK, g->cluster_bytes);
}

/* An entry with a host cluster that is not part of a run. */
static int take_allocated(struct table *t, uint64_t index, struct qc_l2_words words,
			  struct qc_err *err)
{
	struct qc_check *check = t->check;
	const struct qc_geometry *g = &check->geometry;
	struct qc_check_place place = place_of(t, index);
	uint64_t offset = words.entry & QC_L2_OFFSET_MASK;
	bool has_data = g->extended_l2 ? (uint32_t)words.bitmap != 0
				       : (words.entry & QC_L2_ZERO) == 0;
	bool idle = is_idle(g, words);
	uint64_t weight = t->l2->weight;
	int status = 0;

	if ((words.bitmap >> 32) & words.bitmap)
		qc_check_report(check, QC_FINDING_L2_BITMAP_BOTH, t->l2->weight, qc_host(offset),
				&place,
				"offset=%" PRIx64 ": allocated cluster has corrupted subcluster "
				"allocation bitmap",
				offset);
	if (!qc_is_aligned(offset, g->cluster_bytes))
		qc_check_report(check,
				idle ? QC_FINDING_L2_UNALIGNED_ZERO : QC_FINDING_L2_UNALIGNED,
				weight, qc_host(offset), &place,
				"offset=%" PRIx64 ": %s cluster is not properly aligned; L2 entry "
				"corrupted",
				offset, has_data ? "data" : "preallocated");
	add_allocated(t, offset, 1);
	qc_check_claim_for(check, has_data ? QC_CLAIM_DATA : QC_CLAIM_ZERO, t->l2->active > 0);
	if (idle && check->options->without_idle)
		weight -= t->l2->mendable;
	if (idle && check->options->idle_table && t->l2->elsewhere > 0) {
		weight -= t->l2->elsewhere;
		status = check->options->idle_table(check->options->context, qc_host(t->l2->offset),
						    err);
	}
	if (status == 0 && !g->external_data && weight > 0)
		status = qc_check_count(check, offset, g->cluster_bytes, weight, &place, err);
	if (status == 0 && t->l2->copied_weight > 0)
		status = check_copied_one(t, index, words.entry, err);
	return status;
}

static int take_words(struct table *t, uint64_t index, struct qc_l2_words words, struct qc_err *err)
{
	const struct qc_geometry *g = &t->check->geometry;
	uint64_t offset = words.entry & QC_L2_OFFSET_MASK;
	bool zero = (words.entry & QC_L2_ZERO) != 0 && !g->extended_l2;
	/* Offset 0 is a place in a data file, and COPIED tells that it is meant. */
	bool at_zero = !zero && g->external_data && (words.entry & QC_L2_COPIED) != 0;
	struct qc_check_place place;

	if (words.entry & QC_L2_COMPRESSED)
		return take_compressed(t, index, words, err);
	place = place_of(t, index);
	if (zero && g->version < 3)
		qc_check_report(t->check, QC_FINDING_L2_ZERO_IN_V2, t->l2->weight, qc_host(offset),
				&place, "found a zero cluster in an image of version 2: %" PRIx64,
				words.entry);
	/* With subclusters, the bit that says zero elsewhere is reserved. */
	if (words.entry & (QC_L2_RESERVED | (g->extended_l2 ? QC_L2_ZERO : 0)))
		qc_check_report(t->check, QC_FINDING_L2_RESERVED, t->l2->weight, qc_host(offset),
				&place, "found l2 entry with reserved bits set: %" PRIx64,
				words.entry);
	if (offset != 0 || at_zero)
		return take_allocated(t, index, words, err);
	if (!zero && (uint32_t)words.bitmap != 0)
		qc_check_report(t->check, QC_FINDING_L2_BITMAP_NO_HOST, t->l2->weight,
				qc_host(t->l2->offset + index * g->l2_entry_bytes), &place,
				"unallocated cluster has non-zero subcluster allocation map");
	return 0;
}

static int take_entry(struct table *t, uint64_t index, struct qc_l2_words words, struct qc_err *err)
{
	struct qc_check_result *result = &t->check->result;
	uint64_t before = result->lasting, each;
	int status = take_words(t, index, words, err);

	/* All that is wrong with such an entry goes with it, where a repair can get at it. */
	if (is_idle(&t->check->geometry, words)) {
		each = (result->lasting - before) / t->l2->weight;
		result->lasting -= each * (t->l2->mendable + t->l2->elsewhere);
		result->idle_elsewhere += each * t->l2->elsewhere;
	}
	return status;
}

#define AT_ONCE 8u /* entries; a cache line */

static bool line_is_empty(const uint8_t *at)
{
	uint64_t line[AT_ONCE], any = 0;

	memcpy(line, at, sizeof(line));
	for (unsigned int i = 0; i < AT_ONCE; i++)
		any |= line[i];
	return any == 0;
}

uint64_t qc_l2_skip_empty(const uint8_t *table, uint64_t index, uint64_t l2_entries)
{
	while (index < l2_entries && qc_load_be64(table + index * sizeof(uint64_t)) == 0) {
		index++;
		while (index % AT_ONCE == 0 && index < l2_entries
		       && line_is_empty(table + index * sizeof(uint64_t)))
			index += AT_ONCE;
	}
	return index;
}

/*
 * How many entries, in whole lines and at most `most`, are `entry` and the clusters after it. The number
 * of entry's cluster ends in zero bits, so that those of a line differ from its first one in these
 * alone, whatever the byte order.
 */
static uint64_t count_lines(const uint8_t *at, uint64_t entry, uint64_t most, uint32_t cluster_bits)
{
	uint64_t steps[AT_ONCE], line[AT_ONCE];
	uint64_t length = 0;

	for (unsigned int i = 0; i < AT_ONCE; i++)
		steps[i] = be64toh((uint64_t)i << cluster_bits);
	for (; length + AT_ONCE <= most; length += AT_ONCE) {
		uint64_t first = be64toh(entry + (length << cluster_bits));
		uint64_t differ = 0;

		memcpy(line, at + length * sizeof(uint64_t), sizeof(line));
		for (unsigned int i = 0; i < AT_ONCE; i++)
			differ |= line[i] ^ (first | steps[i]);
		if (differ != 0)
			break;
	}
	return length;
}

uint64_t qc_l2_measure_run(const struct qc_geometry *g, const uint8_t *table, uint64_t index)
{
	const uint8_t *at = table + index * sizeof(uint64_t);
	uint64_t entry = qc_load_be64(at);
	uint64_t length = 1, most;

	/* As long as no offset gets too large for its bits, each entry is plain if the first one is. */
	most = ((QC_L2_OFFSET_MASK - (entry & QC_L2_OFFSET_MASK)) >> g->cluster_bits) + 1;
	most = qc_min(most, g->l2_entries - index);
	for (; length < most; length++) {
		uint64_t next = entry + (length << g->cluster_bits);

		if (qc_load_be64(at + length * sizeof(uint64_t)) != next)
			break;
		/* The last one of its line; what follows the lines is compared one by one again. */
		if ((next >> g->cluster_bits) % AT_ONCE == AT_ONCE - 1)
			length += count_lines(at + (length + 1) * sizeof(uint64_t),
					      next + g->cluster_bytes, most - length - 1,
					      g->cluster_bits);
	}
	return length;
}

static int take_standard(struct table *t, const uint8_t *bytes, struct qc_err *err)
{
	const struct qc_geometry *g = &t->check->geometry;
	int status = 0;

	for (uint64_t i = 0, length; status == 0; i += length) {
		uint64_t entry;

		i = qc_l2_skip_empty(bytes, i, g->l2_entries);
		if (i == g->l2_entries)
			break;
		entry = qc_load_be64(bytes + i * sizeof(uint64_t));
		length = g->external_data ? 0 : qc_l2_run_length(g, bytes, i);
		if (length > 0) {
			status = take_run(t, i, entry, length, err);
			continue;
		}
		length = 1;
		status = take_entry(t, i, (struct qc_l2_words){.entry = entry}, err);
	}
	return status;
}

static int take_extended(struct table *t, const uint8_t *bytes, struct qc_err *err)
{
	int status = 0;

	for (uint64_t i = 0; i < t->check->geometry.l2_entries && status == 0; i++) {
		struct qc_l2_words words = {
			.entry = qc_load_be64(bytes + i * 16),
			.bitmap = qc_load_be64(bytes + i * 16 + 8),
		};

		if ((words.entry | words.bitmap) != 0)
			status = take_entry(t, i, words, err);
	}
	return status;
}

int qc_check_l2_entries(struct qc_check *check, const struct qc_check_l2 *l2, const uint8_t *table,
			struct qc_err *err)
{
	struct table t = {.check = check, .l2 = l2};

	return check->geometry.extended_l2 ? take_extended(&t, table, err)
					   : take_standard(&t, table, err);
}
