// SPDX-License-Identifier: MIT
/*
 * Locals that clean up after themselves, so that an error path is one return.
 *
 *	QC_AUTOFREE uint8_t *buffer = malloc(n);	freed when the scope ends
 *	return qc_steal(&buffer);			... unless it is handed on
 */
#pragma once

#include <stdlib.h>

#define QC_CLEANUP(function) __attribute__((cleanup(function)))
#define QC_AUTOFREE QC_CLEANUP(qc_autofree)

static inline void qc_autofree(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

/* The pointer, which the variable gives up: `*ret = qc_steal(&local);` */
#define qc_steal(variable)                                                                         \
	({                                                                                         \
		__typeof__(*(variable)) stolen_ = *(variable);                                     \
		*(variable) = NULL;                                                                \
		stolen_;                                                                           \
	})
