// SPDX-License-Identifier: MIT
/*
 * Compression type 1: zstd frames.
 *
 * 1. A cluster is good if one or more whole frames fill it exactly, as QEMU has it; a frame that
 *    would go on when the cluster is full is an error. What follows the last frame is not looked at.
 * 2. A frame may ask for a window of 8 MiB at most, which is what the format wants every decoder to
 *    have and four times the largest cluster; a few bytes cannot make us allocate more.
 * 3. What we write is what QEMU writes with the same library: default level, length in the header.
 */
#include <stdlib.h>
#include <zstd.h>

#include "codec/codec_impl.h"

#define WINDOW_LOG_MAX 23

struct qc_zstd {
	struct qc_codec base;
	ZSTD_DCtx *decompressor; /* made when first needed, as is the compressor */
	ZSTD_CCtx *compressor;
};

static struct qc_zstd *zstd_of(struct qc_codec *codec)
{
	return (struct qc_zstd *)codec;
}

static int prepare_decompressor(struct qc_zstd *z, struct qc_err *err)
{
	if (!z->decompressor) {
		z->decompressor = ZSTD_createDCtx();
		if (!z->decompressor)
			return qc_fail_memory(err);
		ZSTD_DCtx_setParameter(z->decompressor, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	}
	ZSTD_DCtx_reset(z->decompressor, ZSTD_reset_session_only);
	return 0;
}

static int prepare_compressor(struct qc_zstd *z, struct qc_err *err)
{
	if (!z->compressor) {
		z->compressor = ZSTD_createCCtx();
		if (!z->compressor)
			return qc_fail_memory(err);
	}
	ZSTD_CCtx_reset(z->compressor, ZSTD_reset_session_only);
	return 0;
}

static int fail_short(struct qc_err *err, const ZSTD_outBuffer *out)
{
	return qc_fail(err, QC_E_FORMAT,
		       "compressed data ends after %zu of the cluster's %zu bytes", out->pos,
		       out->size);
}

static int zstd_decompress(struct qc_codec *codec, const void *from, size_t from_bytes, void *to,
			   size_t cluster_bytes, struct qc_err *err)
{
	struct qc_zstd *z = zstd_of(codec);
	ZSTD_inBuffer in = {from, from_bytes, 0};
	ZSTD_outBuffer out = {to, cluster_bytes, 0};
	size_t pending = 0; /* 0 when a frame is complete */

	if (prepare_decompressor(z, err) < 0)
		return -(int)err->code;
	while (out.pos < out.size) {
		size_t old_in = in.pos;
		size_t old_out = out.pos;

		pending = ZSTD_decompressStream(z->decompressor, &out, &in);
		if (ZSTD_isError(pending))
			return qc_fail(err, QC_E_FORMAT, "compressed data is damaged: %s",
				       ZSTD_getErrorName(pending));
		if (in.pos == old_in && out.pos == old_out)
			return fail_short(err, &out);
	}
	if (pending != 0)
		return qc_fail(err, QC_E_FORMAT,
			       "compressed data does not end where its cluster of %zu bytes does",
			       cluster_bytes);
	return 0;
}

static int zstd_compress(struct qc_codec *codec, const void *from, size_t cluster_bytes, void *to,
			 size_t to_bytes, size_t *ret_bytes, struct qc_err *err)
{
	struct qc_zstd *z = zstd_of(codec);
	ZSTD_inBuffer in = {from, cluster_bytes, 0};
	ZSTD_outBuffer out = {to, to_bytes, 0};
	size_t pending;

	if (prepare_compressor(z, err) < 0)
		return -(int)err->code;
	pending = ZSTD_compressStream2(z->compressor, &out, &in, ZSTD_e_end);
	if (ZSTD_isError(pending))
		return qc_fail(err, QC_E_NO_MEMORY, "zstd: %s", ZSTD_getErrorName(pending));
	*ret_bytes = pending == 0 ? out.pos : 0;
	return 0;
}

static void zstd_close(struct qc_codec *codec)
{
	struct qc_zstd *z = zstd_of(codec);

	ZSTD_freeDCtx(z->decompressor);
	ZSTD_freeCCtx(z->compressor);
	free(z);
}

static const struct qc_codec_ops zstd_ops = {
	.decompress = zstd_decompress,
	.compress = zstd_compress,
	.close = zstd_close,
};

int qc_zstd_open(struct qc_codec **ret, struct qc_err *err)
{
	struct qc_zstd *z = calloc(1, sizeof(*z));

	if (!z)
		return qc_fail_memory(err);
	z->base.ops = &zstd_ops;
	*ret = &z->base;
	return 0;
}
