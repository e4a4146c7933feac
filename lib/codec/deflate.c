// SPDX-License-Identifier: MIT
/*
 * Compression type 0: raw deflate without a header or checksum.
 *
 * 1. What QEMU reads, we read: a cluster is good as soon as it is full and nothing wrong was met on
 *    the way, even if the stream has not ended or would go on. zlib tells exactly that; libdeflate
 *    wants the stream to end where the cluster does, so what it rejects is asked of zlib again.
 * 2. What we write is byte for byte what QEMU writes with the same zlib: default level, a window of
 *    4 KiB, most memory.
 *
 * libdeflate is about twice as fast. It believes distance symbols 30 and 31, which the format
 * reserves, zlib calls damaged and no compressor writes: the one known difference that remains.
 */
#include <stdlib.h>
#include <zlib.h>

#ifndef QC_HAVE_LIBDEFLATE
#define QC_HAVE_LIBDEFLATE 0
#endif
#if QC_HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "codec/codec_impl.h"

#define RAW_WINDOW_BITS (-12) /* negative: no zlib header */
#define MEMORY_LEVEL 9

struct qc_deflate {
	struct qc_codec base;
#if QC_HAVE_LIBDEFLATE
	struct libdeflate_decompressor *fast;
#endif
	z_stream inflater; /* made when first needed, as is the deflater: few threads use both */
	z_stream deflater;
	bool have_inflater;
	bool have_deflater;
};

static struct qc_deflate *deflate_of(struct qc_codec *codec)
{
	return (struct qc_deflate *)codec;
}

static int prepare_inflater(struct qc_deflate *d, struct qc_err *err)
{
	int status = d->have_inflater ? inflateReset(&d->inflater)
				      : inflateInit2(&d->inflater, RAW_WINDOW_BITS);

	if (status != Z_OK)
		return qc_fail_memory(err);
	d->have_inflater = true;
	return 0;
}

static int prepare_deflater(struct qc_deflate *d, struct qc_err *err)
{
	int status = d->have_deflater
			     ? deflateReset(&d->deflater)
			     : deflateInit2(&d->deflater, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
					    RAW_WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);

	if (status != Z_OK)
		return qc_fail_memory(err);
	d->have_deflater = true;
	return 0;
}

static void set_buffers(z_stream *stream, const void *from, size_t from_bytes, void *to,
			size_t to_bytes)
{
	/* zlib only reads through next_in; old versions do not say so in its type. */
	stream->next_in = (Bytef *)(uintptr_t)from;
	stream->avail_in = (uInt)from_bytes;
	stream->next_out = to;
	stream->avail_out = (uInt)to_bytes;
}

static int inflate_cluster(struct qc_deflate *d, const void *from, size_t from_bytes, void *to,
			   size_t cluster_bytes, struct qc_err *err)
{
	int status;

	if (prepare_inflater(d, err) < 0)
		return -(int)err->code;
	set_buffers(&d->inflater, from, from_bytes, to, cluster_bytes);
	status = inflate(&d->inflater, Z_FINISH);
	if (status == Z_MEM_ERROR)
		return qc_fail_memory(err);
	if (status != Z_STREAM_END && status != Z_BUF_ERROR)
		return qc_fail(err, QC_E_FORMAT, "compressed data is damaged: %s",
			       d->inflater.msg ? d->inflater.msg : "not a deflate stream");
	if (d->inflater.avail_out != 0)
		return qc_fail(err, QC_E_FORMAT,
			       "compressed data ends after %zu of the cluster's %zu bytes",
			       cluster_bytes - d->inflater.avail_out, cluster_bytes);
	return 0;
}

static int deflate_decompress(struct qc_codec *codec, const void *from, size_t from_bytes, void *to,
			      size_t cluster_bytes, struct qc_err *err)
{
	struct qc_deflate *d = deflate_of(codec);

#if QC_HAVE_LIBDEFLATE
	/* Without a place for the actual length, success means that the cluster is full. */
	if (libdeflate_deflate_decompress_ex(d->fast, from, from_bytes, to, cluster_bytes, NULL,
					     NULL)
	    == LIBDEFLATE_SUCCESS)
		return 0;
#endif
	return inflate_cluster(d, from, from_bytes, to, cluster_bytes, err);
}

static int deflate_compress(struct qc_codec *codec, const void *from, size_t cluster_bytes,
			    void *to, size_t to_bytes, size_t *ret_bytes, struct qc_err *err)
{
	struct qc_deflate *d = deflate_of(codec);
	int status;

	if (prepare_deflater(d, err) < 0)
		return -(int)err->code;
	set_buffers(&d->deflater, from, cluster_bytes, to, to_bytes);
	status = deflate(&d->deflater, Z_FINISH);
	/* Anything else than the end means that there was no room for it. */
	*ret_bytes = status == Z_STREAM_END ? to_bytes - d->deflater.avail_out : 0;
	return 0;
}

static void deflate_close(struct qc_codec *codec)
{
	struct qc_deflate *d = deflate_of(codec);

	if (d->have_inflater)
		inflateEnd(&d->inflater);
	if (d->have_deflater)
		deflateEnd(&d->deflater);
#if QC_HAVE_LIBDEFLATE
	libdeflate_free_decompressor(d->fast);
#endif
	free(d);
}

static const struct qc_codec_ops deflate_ops = {
	.decompress = deflate_decompress,
	.compress = deflate_compress,
	.close = deflate_close,
};

int qc_deflate_open(struct qc_codec **ret, struct qc_err *err)
{
	struct qc_deflate *d = calloc(1, sizeof(*d));

	if (!d)
		return qc_fail_memory(err);
	d->base.ops = &deflate_ops;
#if QC_HAVE_LIBDEFLATE
	d->fast = libdeflate_alloc_decompressor();
	if (!d->fast) {
		deflate_close(&d->base);
		return qc_fail_memory(err);
	}
#endif
	*ret = &d->base;
	return 0;
}
