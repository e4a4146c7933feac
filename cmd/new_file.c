// SPDX-License-Identifier: MIT
#include "cmd/new_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int new_file_target(const char *path, bool replace, char **ret_path, bool *ret_exists,
		    struct qc_err *err)
{
	bool exists = true;
	char *target;
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT)
			return qc_fail_errno(err, errno, "cannot create");
		exists = false;
	}
	if (exists && S_ISLNK(st.st_mode) && stat(path, &st) < 0)
		return qc_fail(err, QC_E_ARGUMENT, "is a symbolic link that leads nowhere");
	if (exists && !S_ISREG(st.st_mode))
		return qc_fail(err, QC_E_ARGUMENT, "is no regular file");
	if (exists && !replace)
		return qc_fail(err, QC_E_EXISTS, "it exists already");
	target = exists ? realpath(path, NULL) : strdup(path);
	if (!target)
		return qc_fail_errno(err, errno, "cannot create");
	*ret_path = target;
	*ret_exists = exists;
	return 0;
}
