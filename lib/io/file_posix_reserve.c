// SPDX-License-Identifier: MIT
/* Setting space aside. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "io/file_posix.h"
#include "io/file_posix_impl.h"

int qc_file_posix_reserve(struct qc_file *file, uint64_t offset, uint64_t length,
			  struct qc_err *err)
{
	struct qc_file_posix *p = qc_file_posix_of(file);
	int errnum = EOPNOTSUPP;

	/* The library's call writes where the file system knows no such thing. */
	if (p)
		do
			errnum = posix_fallocate(p->fd, (off_t)offset, (off_t)length);
		while (errnum == EINTR);
	if (errnum == 0)
		return 0;
	return qc_fail_errno(err, errnum, "cannot set aside %" PRIu64 " bytes", length);
}
