// SPDX-License-Identifier: MIT
#include "api/api.h"

#include <assert.h>
#include <string.h>

/* Programs were compiled with these numbers. */
#define SAME_CODE(name) static_assert((int)QCOWTOOL_##name == (int)QC_##name, "error codes differ")
SAME_CODE(E_IO);
SAME_CODE(E_NO_SPACE);
SAME_CODE(E_NO_MEMORY);
SAME_CODE(E_ARGUMENT);
SAME_CODE(E_RANGE);
SAME_CODE(E_NOT_FOUND);
SAME_CODE(E_EXISTS);
SAME_CODE(E_LOCKED);
SAME_CODE(E_FORMAT);
SAME_CODE(E_UNSUPPORTED);
SAME_CODE(E_POLICY);
SAME_CODE(E_MISMATCH);
SAME_CODE(E_INTERRUPTED);
SAME_CODE(E_CHANGED);
SAME_CODE(E_OUTCOME_UNKNOWN);

static_assert(sizeof(((struct qcowtool_error *)0)->text) >= sizeof(((struct qc_err *)0)->text),
	      "texts would not fit");

int qc_api_flags(unsigned int flags, unsigned int taken, struct qc_err *err)
{
	if (flags & ~taken)
		return qc_fail(err, QC_E_ARGUMENT, "flags 0x%x are not for this function",
			       flags & ~taken);
	return 0;
}

enum qc_chain_policy qc_api_policy(unsigned int flags)
{
	if (flags & QCOWTOOL_CHAIN_NONE)
		return QC_CHAIN_NONE;
	return flags & QCOWTOOL_CHAIN_DIR ? QC_CHAIN_DIR : QC_CHAIN_ANY;
}

int qc_api_result(int status, const struct qc_err *err, struct qcowtool_error *ret)
{
	if (status >= 0 || !ret)
		return status;
	ret->code = (int)err->code;
	ret->os_errno = err->os_errno;
	memcpy(ret->text, err->text, sizeof(err->text));
	return status;
}
