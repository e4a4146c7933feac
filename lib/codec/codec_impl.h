// SPDX-License-Identifier: MIT
/* What codec.c asks of the file behind each compression type. Nobody else includes this. */
#pragma once

#include "codec/codec.h"

struct qc_codec_ops {
	int (*decompress)(struct qc_codec *codec, const void *from, size_t from_bytes, void *to,
			  size_t cluster_bytes, struct qc_err *err);
	int (*compress)(struct qc_codec *codec, const void *from, size_t cluster_bytes, void *to,
			size_t to_bytes, size_t *ret_bytes, struct qc_err *err);
	void (*close)(struct qc_codec *codec);
};

/* The part that every compression type starts with. */
struct qc_codec {
	const struct qc_codec_ops *ops;
};

int qc_deflate_open(struct qc_codec **ret, struct qc_err *err);
int qc_zstd_open(struct qc_codec **ret, struct qc_err *err);
