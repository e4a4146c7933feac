// SPDX-License-Identifier: MIT
/*
 * What the files of this layer share. They put the library's own interfaces behind those of
 * api/qcowtool.h, which programs are compiled against: no type of ours may appear in that one.
 */
#pragma once

#include "api/qcowtool.h"
#include "base/err.h"
#include "image/reference.h"

/* Raises QC_E_ARGUMENT for flags that are not among those that a function takes. */
int qc_api_flags(unsigned int flags, unsigned int taken, struct qc_err *err);

enum qc_chain_policy qc_api_policy(unsigned int flags);

/* Returns `status`, and in case of failure tells the caller, who may not want to know, about it. */
int qc_api_result(int status, const struct qc_err *err, struct qcowtool_error *ret);
