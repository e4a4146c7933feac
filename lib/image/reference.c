// SPDX-License-Identifier: MIT
#include "image/reference.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* "nbd://host", "json:{...}" and "a:b" have a protocol; "./a:b" and "/a:b" are plain paths. */
static bool has_protocol(const char *name)
{
	return name[strcspn(name, ":/")] == ':';
}

/* How many bytes of `path` name its folder, the slash included; 0: the working directory. */
static size_t folder_bytes(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? 0 : (size_t)(slash - path) + 1;
}

int qc_reference_resolve(const char *image_path, const char *name, char **ret, struct qc_err *err)
{
	const char *plain = name;
	size_t folder;
	char *path;

	if (strncmp(plain, "file:", 5) == 0)
		plain += 5;
	else if (has_protocol(plain))
		return qc_fail(err, QC_E_POLICY, "'%s' is not a plain file name", name);
	if (*plain == '\0')
		return qc_fail(err, QC_E_POLICY, "the file name is empty");
	folder = plain[0] == '/' ? 0 : folder_bytes(image_path);
	if (asprintf(&path, "%.*s%s", (int)folder, image_path, plain) < 0)
		return qc_fail_memory(err);
	*ret = path;
	return 0;
}

static int real_path(const char *path, char **ret, struct qc_err *err)
{
	char *real = realpath(path, NULL);

	if (!real)
		return qc_fail_errno(err, errno, "cannot resolve '%s'", path);
	*ret = real;
	return 0;
}

static int allow_in_folder(const char *image_path, const char *path, struct qc_err *err)
{
	QC_AUTOFREE char *image = NULL;
	QC_AUTOFREE char *target = NULL;
	int status;

	status = real_path(image_path, &image, err);
	if (status < 0)
		return status;
	status = real_path(path, &target, err);
	if (status < 0)
		return status;
	if (strncmp(image, target, folder_bytes(image)) != 0)
		return qc_fail(err, QC_E_POLICY, "not in or below the image's directory");
	return 0;
}

int qc_reference_allow(enum qc_chain_policy policy, const char *image_path, const char *path,
		       struct qc_err *err)
{
	switch (policy) {
	case QC_CHAIN_ANY:
		return 0;
	case QC_CHAIN_DIR:
		return allow_in_folder(image_path, path, err);
	case QC_CHAIN_NONE:
		break;
	}
	return qc_fail(err, QC_E_POLICY,
		       "other files than the image may not be opened (--chain=none)");
}
