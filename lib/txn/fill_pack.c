// SPDX-License-Identifier: MIT
/*
 * Compressing holes before they are placed, in several threads. Only the bytes come from here: what goes
 * where is decided by one thread, in order, so that the image does not depend on their number.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/crew.h"
#include "txn/fill_impl.h"
#include "txn/txn_state.h"

#define PACK_BYTES (UINT64_C(8) << 20) /* of clusters at a time */

struct packing {
	struct qc_fill *fill;
	size_t first; /* hole that the room begins with */
	pthread_mutex_t lock;
	/* All below is under the lock. */
	size_t next, end;
	unsigned int threads; /* that have begun */
	size_t failed;	      /* the first hole that did; `end`: none */
	struct qc_err err;
};

/* A packed extent's first host cluster may have no room for all of its references. */
static bool can_pack(const struct qc_txn *txn, const struct qc_fill_hole *hole)
{
	return hole->ways > 0 && hole->packable
	       && (hole->ways == 1 || txn->geometry->refcount_max >= UINT32_MAX);
}

static int compress_hole(const struct packing *p, struct qc_codec *codec, size_t number,
			 struct qc_err *err)
{
	size_t cluster_bytes = (size_t)p->fill->forest->txn->geometry->cluster_bytes;
	struct qc_fill_hole *hole = &p->fill->holes[number];
	QC_AUTOFREE uint8_t *whole = NULL;

	if (hole->limit < cluster_bytes) {
		whole = calloc(1, cluster_bytes);
		if (!whole)
			return qc_fail_memory(err);
		memcpy(whole, hole->bytes, (size_t)hole->limit);
	}
	hole->packed = p->fill->packed + (number - p->first) * cluster_bytes;
	return qc_codec_compress(codec, whole ? whole : hole->bytes, cluster_bytes, hole->packed,
				 &hole->packed_bytes, err);
}

/* A codec for this thread, which stays for the next load. */
static int take_codec(struct packing *p, struct qc_codec **ret, struct qc_err *err)
{
	struct qc_codec **codec;
	int status = 0;

	pthread_mutex_lock(&p->lock);
	codec = &p->fill->codecs[p->threads++];
	pthread_mutex_unlock(&p->lock);
	if (!*codec)
		status = qc_codec_open(p->fill->forest->txn->image->header.compression, codec, err);
	*ret = *codec;
	return status;
}

/* The next hole to be compressed; false: there is none. */
static bool take_hole(struct packing *p, size_t *ret)
{
	const struct qc_fill *fill = p->fill;

	pthread_mutex_lock(&p->lock);
	while (p->next < p->end && !can_pack(fill->forest->txn, &fill->holes[p->next]))
		p->next++;
	*ret = p->next++;
	pthread_mutex_unlock(&p->lock);
	return *ret < p->end;
}

static void note_failure(struct packing *p, size_t number, const struct qc_err *err)
{
	pthread_mutex_lock(&p->lock);
	if (number < p->failed) {
		p->failed = number;
		p->err = *err;
	}
	p->next = p->end;
	pthread_mutex_unlock(&p->lock);
}

static void work(void *context)
{
	struct packing *p = context;
	struct qc_codec *codec;
	struct qc_err err;
	size_t number;

	if (take_codec(p, &codec, &err) < 0) {
		note_failure(p, p->first, &err);
		return;
	}
	while (take_hole(p, &number))
		if (compress_hole(p, codec, number, &err) < 0)
			note_failure(p, number, &err);
}

static int make_room(struct qc_fill *fill, size_t clusters, struct qc_err *err)
{
	uint64_t cluster_bytes = fill->forest->txn->geometry->cluster_bytes;

	if (clusters <= fill->packed_room)
		return 0;
	free(fill->packed);
	fill->packed = malloc((size_t)(clusters * cluster_bytes));
	fill->packed_room = fill->packed ? clusters : 0;
	return fill->packed ? 0 : qc_fail_memory(err);
}

int qc_fill_pack(struct qc_fill *fill, size_t first, size_t *ret_end, struct qc_err *err)
{
	const struct qc_txn *txn = fill->forest->txn;
	size_t most = (size_t)(PACK_BYTES >> txn->geometry->cluster_bits);
	size_t count = (size_t)qc_min(fill->hole_count - first, most);
	struct packing p = {.fill = fill, .first = first, .next = first, .end = first + count};
	int status = 0;

	*ret_end = p.failed = p.end;
	if (!txn->options.compress) {
		*ret_end = fill->hole_count;
		return 0;
	}
	if ((status = make_room(fill, count, err)) < 0)
		return status;
	pthread_mutex_init(&p.lock, NULL);
	qc_crew_run((unsigned int)qc_min(qc_min(qc_crew_size(0), QC_FILL_CODECS), count), work, &p);
	pthread_mutex_destroy(&p.lock);
	if (p.failed == p.end)
		return 0;
	*err = p.err;
	return -(int)err->code;
}
