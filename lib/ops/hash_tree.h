// SPDX-License-Identifier: MIT
/*
 * The tree that a hash of a disk is made of; docs/HASH.md defines it. Digests of blocks come in from
 * the left to the right; a run of blocks of zeroes, however long, costs next to nothing, because the
 * digest of each whole subtree of zeroes is known beforehand.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define QC_HASH_BLOCK_BYTES (256u << 10)
#define QC_HASH_NODE_DIGESTS 256u /* children of a node */
#define QC_HASH_STRETCH_BYTES ((uint64_t)QC_HASH_BLOCK_BYTES * QC_HASH_NODE_DIGESTS)
#define QC_HASH_DIGEST_BYTES 16u
#define QC_HASH_HEX_BYTES (2 * QC_HASH_DIGEST_BYTES + 1) /* with the end of the string */

/* In the byte order that people and programs print. */
struct qc_digest {
	uint8_t bytes[QC_HASH_DIGEST_BYTES];
};

struct qc_digest qc_digest_of(const void *bytes, size_t length);
void qc_digest_print(const struct qc_digest *digest, char ret[QC_HASH_HEX_BYTES]);

struct qc_hash_tree;

int qc_hash_tree_open(struct qc_hash_tree **ret, struct qc_err *err);
void qc_hash_tree_close(struct qc_hash_tree *tree); /* NULL is fine */

/* The digest of a whole block of zeroes. */
const struct qc_digest *qc_hash_tree_zero_block(const struct qc_hash_tree *tree);

/* The next blocks, by their digests; `count` is at most QC_HASH_NODE_DIGESTS. */
void qc_hash_tree_add(struct qc_hash_tree *tree, const struct qc_digest *blocks, size_t count);

/* The next `count` blocks, whole ones, are all zeroes. */
void qc_hash_tree_add_zeroes(struct qc_hash_tree *tree, uint64_t count);

/* After the last block: the hash of a disk of that size. Once. */
struct qc_digest qc_hash_tree_finish(struct qc_hash_tree *tree, uint64_t disk_bytes);
