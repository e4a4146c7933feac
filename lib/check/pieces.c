// SPDX-License-Identifier: MIT
#include "check/pieces.h"

#include "base/checked.h"
#include "base/crew.h"

size_t qc_pieces_take(struct qc_pieces *pieces, size_t at_once, size_t *ret_first)
{
	size_t first;

	if (atomic_load(&pieces->failed))
		return 0;
	first = atomic_fetch_add(&pieces->next, at_once);
	if (first >= pieces->count)
		return 0;
	*ret_first = first;
	return (size_t)qc_min(at_once, pieces->count - first);
}

static void run_thread(void *context)
{
	struct qc_pieces *pieces = context;
	struct qc_err err;

	if (pieces->work(pieces, &err) == 0)
		return;
	pthread_mutex_lock(&pieces->lock);
	if (!atomic_exchange(&pieces->failed, true))
		pieces->err = err;
	pthread_mutex_unlock(&pieces->lock);
}

int qc_pieces_run(struct qc_pieces *pieces, unsigned int jobs, size_t most, struct qc_err *err)
{
	atomic_init(&pieces->next, 0);
	atomic_init(&pieces->failed, false);
	pthread_mutex_init(&pieces->lock, NULL);
	qc_crew_run((unsigned int)qc_min(qc_crew_size(jobs), most), run_thread, pieces);
	pthread_mutex_destroy(&pieces->lock);
	if (!atomic_load(&pieces->failed))
		return 0;
	*err = pieces->err;
	return -(int)err->code;
}
