// SPDX-License-Identifier: MIT
/* What only makes things faster, and may fail without a word. */
#include <fcntl.h>

#include "io/file_posix.h"
#include "io/file_posix_impl.h"

void qc_file_posix_start_writing(const struct qc_file *file, uint64_t offset, uint64_t length)
{
	const struct qc_file_posix *p = qc_file_posix_of(file);

	if (p && !p->no_sync)
		(void)sync_file_range(p->fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}
