// SPDX-License-Identifier: MIT
/* Chooses the code behind a compression type, and keeps what is common to all types. */
#include "codec/codec.h"

#include "codec/codec_impl.h"

/* Far above any cluster (2 MiB), and inside what every library's types can count. */
#define BYTES_MAX (1u << 30)

int qc_codec_open(enum qc_compression type, struct qc_codec **ret, struct qc_err *err)
{
	switch (type) {
	case QC_COMPRESSION_ZLIB:
		return qc_deflate_open(ret, err);
	case QC_COMPRESSION_ZSTD:
		return qc_zstd_open(ret, err);
	}
	return qc_fail(err, QC_E_UNSUPPORTED, "compression type %d is not known", (int)type);
}

void qc_codec_close(struct qc_codec *codec)
{
	if (codec)
		codec->ops->close(codec);
}

static int check_lengths(size_t cluster_bytes, struct qc_err *err)
{
	if (cluster_bytes > 0 && cluster_bytes <= BYTES_MAX)
		return 0;
	return qc_fail(err, QC_E_ARGUMENT, "a cluster of %zu bytes", cluster_bytes);
}

int qc_codec_decompress(struct qc_codec *codec, const void *from, size_t from_bytes, void *to,
			size_t cluster_bytes, struct qc_err *err)
{
	if (check_lengths(cluster_bytes, err) < 0)
		return -(int)err->code;
	/* No stream that fills a cluster goes on for that long. */
	if (from_bytes > BYTES_MAX)
		from_bytes = BYTES_MAX;
	return codec->ops->decompress(codec, from, from_bytes, to, cluster_bytes, err);
}

int qc_codec_compress(struct qc_codec *codec, const void *from, size_t cluster_bytes, void *to,
		      size_t *ret_bytes, struct qc_err *err)
{
	if (check_lengths(cluster_bytes, err) < 0)
		return -(int)err->code;
	/* One byte less than the cluster: a result that is not smaller is of no use. */
	return codec->ops->compress(codec, from, cluster_bytes, to, cluster_bytes - 1, ret_bytes,
				    err);
}
