// SPDX-License-Identifier: MIT
/*
 * One open node a level, the lowest first. A node that is full at once becomes a digest in the node
 * above it, so a node in here always has room for one more.
 */
#include "ops/hash_tree.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef QC_HAVE_XXHASH_DISPATCH
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include "base/byte_order.h"
#include "base/cleanup.h"

#define LEVELS 7 /* 2^(18 + 8 * 7) bytes are more than any disk has */

struct node {
	struct qc_digest digests[QC_HASH_NODE_DIGESTS];
	size_t count;
	bool went_up; /* at least one node of this level is closed */
};

struct qc_hash_tree {
	struct node level[LEVELS];
	struct qc_digest zero[LEVELS]; /* of the whole subtree below a digest of that level */
};

struct qc_digest qc_digest_of(const void *bytes, size_t length)
{
	struct qc_digest digest;
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, length));
	memcpy(digest.bytes, canonical.digest, sizeof(digest.bytes));
	return digest;
}

void qc_digest_print(const struct qc_digest *digest, char ret[QC_HASH_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < QC_HASH_DIGEST_BYTES; i++) {
		ret[2 * i] = digits[digest->bytes[i] >> 4];
		ret[2 * i + 1] = digits[digest->bytes[i] & 15];
	}
	ret[2 * QC_HASH_DIGEST_BYTES] = '\0';
}

int qc_hash_tree_open(struct qc_hash_tree **ret, struct qc_err *err)
{
	struct qc_hash_tree *tree = calloc(1, sizeof(*tree));
	QC_AUTOFREE void *block = calloc(1, QC_HASH_BLOCK_BYTES);
	struct node node;

	if (!tree || !block) {
		free(tree);
		return qc_fail_memory(err);
	}
	tree->zero[0] = qc_digest_of(block, QC_HASH_BLOCK_BYTES);
	for (size_t i = 1; i < LEVELS; i++) {
		for (size_t n = 0; n < QC_HASH_NODE_DIGESTS; n++)
			node.digests[n] = tree->zero[i - 1];
		tree->zero[i] = qc_digest_of(node.digests, sizeof(node.digests));
	}
	*ret = tree;
	return 0;
}

void qc_hash_tree_close(struct qc_hash_tree *tree)
{
	free(tree);
}

const struct qc_digest *qc_hash_tree_zero_block(const struct qc_hash_tree *tree)
{
	return &tree->zero[0];
}

/* The node's digest becomes one of the level above. */
static void close_node(struct qc_hash_tree *tree, size_t level);

static void add_one(struct qc_hash_tree *tree, size_t level, const struct qc_digest *digest)
{
	struct node *node = &tree->level[level];

	node->digests[node->count++] = *digest;
	if (node->count == QC_HASH_NODE_DIGESTS)
		close_node(tree, level);
}

static void close_node(struct qc_hash_tree *tree, size_t level)
{
	struct node *node = &tree->level[level];
	struct qc_digest digest = qc_digest_of(node->digests, node->count * sizeof(digest));

	node->count = 0;
	node->went_up = true;
	add_one(tree, level + 1, &digest);
}

void qc_hash_tree_add(struct qc_hash_tree *tree, const struct qc_digest *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add_one(tree, 0, &blocks[i]);
}

/* The highest level at which nothing is open below, and of which `count` blocks fill a digest. */
static size_t level_for_zeroes(const struct qc_hash_tree *tree, uint64_t count)
{
	size_t level = 0;

	while (level + 1 < LEVELS && tree->level[level].count == 0
	       && count / QC_HASH_NODE_DIGESTS > 0) {
		count /= QC_HASH_NODE_DIGESTS;
		level++;
	}
	return level;
}

void qc_hash_tree_add_zeroes(struct qc_hash_tree *tree, uint64_t count)
{
	while (count > 0) {
		size_t level = level_for_zeroes(tree, count);

		/* Below, nodes are as good as closed: finishing must know that there were some. */
		for (size_t i = 0; i < level; i++)
			tree->level[i].went_up = true;
		add_one(tree, level, &tree->zero[level]);
		count -= UINT64_C(1) << 8 * level;
	}
}

struct qc_digest qc_hash_tree_finish(struct qc_hash_tree *tree, uint64_t disk_bytes)
{
	uint8_t last[QC_HASH_DIGEST_BYTES + sizeof(uint64_t)];
	struct node *node = &tree->level[0];
	size_t level = 0, bytes;

	/* A level of one digest is the last one; a disk of 0 bytes has none. */
	while (node->went_up || node->count > 1) {
		if (node->count > 0)
			close_node(tree, level);
		node = &tree->level[++level];
	}
	bytes = node->count * sizeof(node->digests[0]);
	memcpy(last, node->digests, bytes);
	qc_store_be64(last + bytes, disk_bytes);
	return qc_digest_of(last, bytes + sizeof(uint64_t));
}
