// SPDX-License-Identifier: MIT
/*
 * The streams of compressed clusters: collected by the walk, each once however many entries name it,
 * and decompressed by several threads.
 *
 * What must stay true
 *  1. What is reported, and in which order, does not depend on the number of threads: they leave a
 *     verdict for each stream, and one thread reports them by host offset.
 *  2. Memory is bounded by STREAMS_MAX and two clusters a thread.
 *  3. Time is bounded by the file's length: a cluster cannot be packed into less than a certain number
 *     of bytes, so streams that begin closer to each other overlap, and are not decompressed.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "check/check_impl.h"
#include "check/pieces.h"
#include "codec/codec.h"

#define STREAMS_MAX ((size_t)1 << 21) /* 48 MiB; when there are more, they are done in parts */
#define TAKE_AT_ONCE 16u	      /* streams a thread takes on */

/* What one byte of a stream becomes at most: 1032 in deflate, a block of 128 KiB for 4 in zstd. */
#define DEFLATE_RATIO_MAX 1040u
#define ZSTD_RATIO_MAX 32768u

enum verdict {
	VERDICT_SOUND,
	VERDICT_BROKEN,
	VERDICT_OVERLAP,
};

struct qc_check_stream {
	uint64_t offset;
	uint64_t guest;
	uint32_t owner;
	uint32_t bytes : 30;
	uint32_t verdict : 2;
};

/* What a thread works with. */
struct desk {
	struct qc_codec *codec;
	uint8_t *packed, *plain;
};

static size_t packed_max(const struct qc_check *check)
{
	return (size_t)(2 * check->geometry.cluster_bytes + QC_SECTOR_BYTES);
}

static int desk_open(const struct qc_check *check, struct desk *ret, struct qc_err *err)
{
	*ret = (struct desk){
		.packed = malloc(packed_max(check)),
		.plain = malloc((size_t)check->geometry.cluster_bytes),
	};
	if (!ret->packed || !ret->plain)
		return qc_fail_memory(err);
	return qc_codec_open((enum qc_compression)check->header.compression, &ret->codec, err);
}

static void desk_close(struct desk *desk)
{
	qc_codec_close(desk->codec);
	free(desk->packed);
	free(desk->plain);
}

/* QC_E_FORMAT if the stream is broken; other errors are those of the storage, or of memory. */
static int decompress(const struct qc_check *check, const struct qc_check_stream *stream,
		      struct desk *desk, struct qc_err *err)
{
	int status = qc_file_read(check->file, stream->offset, desk->packed, stream->bytes, err);

	if (status < 0)
		return status;
	return qc_codec_decompress(desk->codec, desk->packed, stream->bytes, desk->plain,
				   (size_t)check->geometry.cluster_bytes, err);
}

static int judge(const struct qc_check *check, struct qc_check_stream *stream, struct desk *desk,
		 struct qc_err *err)
{
	int status;

	if (stream->verdict == VERDICT_OVERLAP)
		return 0;
	status = decompress(check, stream, desk, err);
	if (status == -QC_E_FORMAT)
		stream->verdict = VERDICT_BROKEN;
	return status == -QC_E_FORMAT ? 0 : status;
}

static int work(struct qc_pieces *pieces, struct qc_err *err)
{
	struct qc_check *check = pieces->context;
	struct desk desk = {0};
	size_t first, count;
	int status = desk_open(check, &desk, err);

	while (status == 0 && (count = qc_pieces_take(pieces, TAKE_AT_ONCE, &first)) > 0)
		for (size_t i = first; status == 0 && i < first + count; i++) {
			status = judge(check, &check->streams[i], &desk, err);
			qc_progress_step(check->options->progress, i, pieces->count);
		}
	desk_close(&desk);
	return status;
}

static int judge_all(struct qc_check *check, struct qc_err *err)
{
	struct qc_pieces pieces = {.count = check->stream_count, .work = work, .context = check};

	return qc_pieces_run(&pieces, check->options->jobs,
			     (size_t)qc_div_up(check->stream_count, TAKE_AT_ONCE), err);
}

/* --- collected, sorted, reported --- */

static int by_offset(const void *a, const void *b)
{
	const struct qc_check_stream *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->guest < y->guest ? -1 : x->guest > y->guest;
}

/* Each stream once: of those that begin at one place the shortest, which has the least to say. */
static void sort_streams(struct qc_check *check)
{
	uint64_t ratio = check->header.compression == QC_COMPRESSION_ZSTD ? ZSTD_RATIO_MAX
									  : DEFLATE_RATIO_MAX;
	uint64_t least = qc_max(check->geometry.cluster_bytes / ratio, 4);
	struct qc_check_stream *all = check->streams;
	size_t kept = 0;

	qsort(all, check->stream_count, sizeof(*all), by_offset);
	for (size_t i = 0; i < check->stream_count; i++) {
		if (kept > 0 && all[kept - 1].offset == all[i].offset)
			continue;
		all[kept] = all[i];
		if (kept > 0 && all[kept].offset - all[kept - 1].offset < least)
			all[kept].verdict = VERDICT_OVERLAP;
		kept++;
	}
	check->stream_count = kept;
}

static int report(struct qc_check *check, const struct qc_check_stream *stream, struct desk *desk,
		  struct qc_err *err)
{
	struct qc_check_place place = qc_check_place_of(check, stream->owner);
	struct qc_err why = {.text = ""};
	int status;

	place.has_guest = true;
	place.guest = qc_guest(stream->guest);
	if (stream->verdict == VERDICT_OVERLAP) {
		qc_check_report(check, QC_FINDING_COMPRESSED_OVERLAP, 1, qc_host(stream->offset),
				&place,
				"compressed cluster at %#" PRIx64
				" begins inside of the one before it",
				stream->offset);
		return 0;
	}
	/* Once more, for the reason; not for those that nobody will see. */
	if (check->result.findings < check->findings_max) {
		status = decompress(check, stream, desk, &why);
		if (status < 0 && status != -QC_E_FORMAT) {
			*err = why;
			return status;
		}
	}
	qc_check_report(check, QC_FINDING_COMPRESSED_BROKEN, 1, qc_host(stream->offset), &place,
			"compressed cluster at %#" PRIx64 ", %u bytes: %s", stream->offset,
			(unsigned int)stream->bytes, why.text);
	return 0;
}

static int report_all(struct qc_check *check, struct qc_err *err)
{
	struct desk desk = {0};
	int status = desk_open(check, &desk, err);

	for (size_t i = 0; status == 0 && i < check->stream_count; i++)
		if (check->streams[i].verdict != VERDICT_SOUND)
			status = report(check, &check->streams[i], &desk, err);
	desk_close(&desk);
	return status;
}

int qc_check_streams(struct qc_check *check, struct qc_err *err)
{
	int status;

	if (check->stream_count == 0)
		return 0;
	sort_streams(check);
	status = judge_all(check, err);
	qc_progress_step(check->options->progress, check->stream_count, check->stream_count);
	if (status == 0)
		status = report_all(check, err);
	check->stream_count = 0;
	return status;
}

static int grow(struct qc_check *check, struct qc_err *err)
{
	size_t room = check->stream_room ? check->stream_room * 2 : 1024;
	struct qc_check_stream *grown = reallocarray(check->streams, room, sizeof(*grown));

	if (!grown)
		return qc_fail_memory(err);
	check->streams = grown;
	check->stream_room = room;
	return 0;
}

int qc_check_add_stream(struct qc_check *check, uint64_t offset, uint64_t bytes, uint64_t guest,
			uint32_t owner, struct qc_err *err)
{
	int status = 0;

	if (check->stream_count == STREAMS_MAX)
		status = qc_check_streams(check, err);
	if (status == 0 && check->stream_count == check->stream_room)
		status = grow(check, err);
	if (status < 0)
		return status;
	check->streams[check->stream_count++] = (struct qc_check_stream){
		.offset = offset,
		.guest = guest,
		.owner = owner,
		.bytes = (uint32_t)qc_min(bytes, packed_max(check)) & 0x3fffffff,
	};
	return 0;
}
