// SPDX-License-Identifier: MIT
/*
 * Compressed clusters: one cluster in, one cluster out. Type zlib is raw deflate with a window of
 * 12 bits, type zstd one or more frames. A codec holds the scratch state of one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/features.h"

struct qc_codec;

int qc_codec_open(enum qc_compression type, struct qc_codec **ret, struct qc_err *err);
void qc_codec_close(struct qc_codec *codec); /* NULL is fine */

/*
 * Decompresses exactly `cluster_bytes` bytes. The input may go on after the stream's end (the
 * descriptor counts whole sectors); a stream that is broken, or ends before the cluster is full,
 * fails with QC_E_FORMAT. Never writes beyond `cluster_bytes`.
 */
int qc_codec_decompress(struct qc_codec *codec, const void *from, size_t from_bytes, void *to,
			size_t cluster_bytes, struct qc_err *err);

/*
 * Compresses a cluster into `to`, which has room for cluster_bytes. *ret_bytes is the result's
 * length, or 0 if it would not be smaller than the cluster: then it is to be stored as it is.
 */
int qc_codec_compress(struct qc_codec *codec, const void *from, size_t cluster_bytes, void *to,
		      size_t *ret_bytes, struct qc_err *err);
