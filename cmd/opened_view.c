// SPDX-License-Identifier: MIT
#include "cmd/opened_view.h"

static int choose_view(struct opened_view *opened, const char *snapshot, struct qc_err *err)
{
	const struct qc_snapshot *found;

	if (!snapshot) {
		qc_view_active(opened->chain, &opened->view);
		return 0;
	}
	found = qc_image_find_snapshot(opened->chain->image, snapshot);
	if (!found)
		return qc_fail(err, QC_E_NOT_FOUND, "there is no snapshot '%s'", snapshot);
	return qc_view_snapshot(opened->chain, found, &opened->view, err);
}

int opened_view_open(const char *path, const struct common_options *common, const char *snapshot,
		     bool encrypted, struct opened_view *ret, struct qc_err *err)
{
	const struct qc_chain_open how = {
		.file.lock = common->force_share ? QC_LOCK_FORCE : QC_LOCK_READ,
		.policy = common->chain,
		.encrypted = encrypted,
	};
	struct opened_view opened = {0};
	int rc;

	rc = qc_chain_open(path, &how, &opened.chain, err);
	if (rc < 0)
		return common_options_offer_share(err);
	rc = choose_view(&opened, snapshot, err);
	if (rc < 0) {
		qc_layer_close(opened.chain);
		return rc;
	}
	*ret = opened;
	return 0;
}

void opened_view_close(struct opened_view *opened)
{
	qc_view_clear(&opened->view);
	qc_layer_close(opened->chain);
	opened->chain = NULL;
}
