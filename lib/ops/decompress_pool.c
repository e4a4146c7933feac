// SPDX-License-Identifier: MIT
/*
 * Loads form a ring: handed in at its head, inflated in order, taken back at its tail. Threads take
 * a few clusters at a time from the oldest load that has any left. The caller alone moves head and
 * tail; all else that several threads see is under the lock, but for a job's own bytes.
 */
#include "ops/decompress_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/crew.h"
#include "base/pages.h"
#include "base/zeroes.h"
#include "codec/codec.h"

#define LOAD_BYTES ((size_t)2 << 20)
#define GRAIN_BYTES ((size_t)64 << 10)

struct worker {
	struct qc_pool *pool;
	struct qc_codec *codec;
	pthread_t thread;
};

struct qc_pool {
	size_t cluster_bytes;
	size_t grain; /* clusters that a thread takes at a time */
	struct qc_pool_load loads[QC_POOL_LOADS];
	uint64_t head, tail; /* loads submitted, and taken back and released */
	uint64_t next;	     /* the oldest load with clusters left */
	bool quit;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct worker *workers;
	unsigned int worker_count;
};

/* The first failure in order counts, whoever comes to it first. */
static void note_failure(struct qc_pool *pool, struct qc_pool_load *load, size_t index,
			 const struct qc_err *err)
{
	pthread_mutex_lock(&pool->lock);
	if (index < load->failed) {
		load->failed = index;
		load->error = *err;
	}
	pthread_mutex_unlock(&pool->lock);
}

static void inflate_jobs(struct worker *w, struct qc_pool_load *load, size_t first, size_t end)
{
	size_t cluster = w->pool->cluster_bytes;
	struct qc_err err;

	for (size_t i = first; i < end; i++) {
		struct qc_pool_job *job = &load->jobs[i];
		uint8_t *to = load->out + i * cluster;

		if (qc_codec_decompress(w->codec, job->from, job->from_bytes, to, cluster, &err)
		    < 0)
			note_failure(w->pool, load, i, &err);
		else
			job->zero = qc_is_zero(to, cluster);
	}
}

/* Waits for clusters; false when the pool closes. */
static bool take_jobs(struct qc_pool *pool, struct qc_pool_load **ret, size_t *ret_first,
		      size_t *ret_end)
{
	struct qc_pool_load *load;

	while (!pool->quit && pool->next == pool->head)
		pthread_cond_wait(&pool->work, &pool->lock);
	if (pool->quit)
		return false;
	load = &pool->loads[pool->next % QC_POOL_LOADS];
	*ret = load;
	*ret_first = load->handed_out;
	*ret_end = (size_t)qc_min(load->handed_out + pool->grain, load->count);
	load->handed_out = *ret_end;
	if (load->handed_out == load->count)
		pool->next++;
	return true;
}

static void *run(void *context)
{
	struct worker *w = context;
	struct qc_pool *pool = w->pool;
	struct qc_pool_load *load;
	size_t first, end;

	pthread_mutex_lock(&pool->lock);
	while (take_jobs(pool, &load, &first, &end)) {
		pthread_mutex_unlock(&pool->lock);
		inflate_jobs(w, load, first, end);
		pthread_mutex_lock(&pool->lock);
		load->done += end - first;
		if (load->done == load->count)
			pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* --- opening and closing --- */

static int start_worker(struct qc_pool *pool, enum qc_compression compression, struct qc_err *err)
{
	struct worker *w = &pool->workers[pool->worker_count];
	int status = qc_codec_open(compression, &w->codec, err);

	if (status < 0)
		return status;
	w->pool = pool;
	status = pthread_create(&w->thread, NULL, run, w);
	if (status != 0) {
		qc_codec_close(w->codec);
		return qc_fail_errno(err, status, "cannot start a thread");
	}
	pool->worker_count++;
	return 0;
}

/* Signals are the caller's: its calls are the ones that may be cut short. */
static int start_workers(struct qc_pool *pool, enum qc_compression compression,
			 unsigned int threads, struct qc_err *err)
{
	sigset_t all, before;
	int status = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (status == 0 && pool->worker_count < threads)
		status = start_worker(pool, compression, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

int qc_pool_open(enum qc_compression compression, size_t cluster_bytes, unsigned int threads,
		 struct qc_pool **ret, struct qc_err *err)
{
	struct qc_pool *pool = calloc(1, sizeof(*pool));
	int status;

	if (!pool)
		return qc_fail_memory(err);
	threads = qc_crew_size(threads);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	pool->cluster_bytes = cluster_bytes;
	pool->grain = (size_t)qc_max(GRAIN_BYTES / cluster_bytes, 1);
	pool->workers = calloc(threads, sizeof(*pool->workers));
	status = pool->workers ? start_workers(pool, compression, threads, err)
			       : qc_fail_memory(err);
	if (status < 0)
		qc_pool_close(pool);
	else
		*ret = pool;
	return status;
}

void qc_pool_close(struct qc_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->quit = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->worker_count; i++) {
		pthread_join(pool->workers[i].thread, NULL);
		qc_codec_close(pool->workers[i].codec);
	}
	for (size_t i = 0; i < QC_POOL_LOADS; i++) {
		free(pool->loads[i].in);
		free(pool->loads[i].out);
		free(pool->loads[i].jobs);
	}
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->workers);
	free(pool);
}

/* --- the ring --- */

/* Memory that is never needed is never taken: most images fill a load or two. */
static int make_room(const struct qc_pool *pool, struct qc_pool_load *load, struct qc_err *err)
{
	size_t out = (size_t)qc_max(LOAD_BYTES, pool->cluster_bytes);

	/* A descriptor can claim as much as two clusters, and begin anywhere. */
	load->in_room = (size_t)qc_max(LOAD_BYTES, 2 * pool->cluster_bytes + QC_PAGE_BYTES);
	load->jobs_max = out / pool->cluster_bytes;
	load->in = load->in ? load->in : qc_pages_alloc(load->in_room);
	load->out = load->out ? load->out : qc_pages_alloc(out);
	load->jobs = load->jobs ? load->jobs : calloc(load->jobs_max, sizeof(*load->jobs));
	return load->in && load->out && load->jobs ? 0 : qc_fail_memory(err);
}

int qc_pool_load(struct qc_pool *pool, struct qc_pool_load **ret, struct qc_err *err)
{
	struct qc_pool_load *load = &pool->loads[pool->head % QC_POOL_LOADS];
	int status;

	*ret = NULL;
	if (pool->head - pool->tail == QC_POOL_LOADS)
		return 0;
	if ((status = make_room(pool, load, err)) < 0)
		return status;
	load->count = load->in_used = 0;
	load->handed_out = load->done = 0;
	*ret = load;
	return 0;
}

void qc_pool_submit(struct qc_pool *pool, struct qc_pool_load *load)
{
	pthread_mutex_lock(&pool->lock);
	load->failed = load->count;
	pool->head++;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

struct qc_pool_load *qc_pool_take(struct qc_pool *pool)
{
	struct qc_pool_load *load = &pool->loads[pool->tail % QC_POOL_LOADS];

	if (pool->head == pool->tail)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	while (load->done < load->count)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	return load;
}

void qc_pool_release(struct qc_pool *pool)
{
	pool->tail++;
}
