// SPDX-License-Identifier: MIT
/* Looking at a file's pages without copying them. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "io/file_posix.h"
#include "io/file_posix_impl.h"

bool qc_file_posix_map(const struct qc_file *file, uint64_t offset, size_t length,
		       struct qc_file_map *ret)
{
#ifdef MADV_POPULATE_READ
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t from = qc_align_down(offset, page);
	size_t mapped = length + (size_t)(offset - from);
	struct qc_file_posix *posix = qc_file_posix_of(file);
	uint8_t *base;

	if (!posix || length == 0 || !qc_range_fits(offset, length, file->bytes))
		return false;
	base = mmap(NULL, mapped, PROT_READ, MAP_SHARED, posix->fd, (off_t)from);
	if (base == MAP_FAILED)
		return false;
	/* What cannot be read shows here, as an error, rather than later, as a signal. */
	if (madvise(base, mapped, MADV_POPULATE_READ) < 0) {
		munmap(base, mapped);
		return false;
	}
	*ret = (struct qc_file_map){.bytes = base + (offset - from),
				    .base = base,
				    .mapped = mapped};
	return true;
#else
	(void)file, (void)offset, (void)length, (void)ret;
	return false;
#endif
}

void qc_file_posix_unmap(struct qc_file_map *map)
{
	if (map->base)
		munmap(map->base, map->mapped);
	*map = (struct qc_file_map){0};
}
