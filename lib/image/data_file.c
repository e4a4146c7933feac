// SPDX-License-Identifier: MIT
#include "image/data_file.h"

#include "base/cleanup.h"
#include "format/features.h"

static bool is_image_itself(const struct qc_file *file, const struct qc_file *image_file)
{
	struct qc_file_identity a, b;

	return qc_file_posix_identity(file, &a) && qc_file_posix_identity(image_file, &b)
	       && a.device == b.device && a.inode == b.inode;
}

/*
 * The image's own file is locked against ourselves too, and "in use by another process" would be
 * the wrong words for it. So the file is looked at before any lock is taken.
 */
static int refuse_image_itself(const char *path, const struct qc_file *image_file,
			       struct qc_err *err)
{
	const struct qc_file_open peek = {.lock = QC_LOCK_NONE};
	struct qc_file *file;
	bool itself;
	int status;

	status = qc_file_posix_open(path, &peek, &file, err);
	if (status < 0)
		return status;
	itself = is_image_itself(file, image_file);
	qc_file_close(file);
	return itself ? qc_fail(err, QC_E_FORMAT, "is the image itself") : 0;
}

static int open_named(const struct qc_image *image, const char *policy_path,
		      enum qc_chain_policy policy, const struct qc_file_open *how,
		      const struct qc_file *image_file, struct qc_file **ret, struct qc_err *err)
{
	QC_AUTOFREE char *path = NULL;
	struct qc_file *file;
	int status;

	status = qc_reference_resolve("", image->data_file_name, &path, err);
	if (status == 0)
		status = qc_reference_allow(policy, policy_path, path, err);
	if (status == 0)
		status = refuse_image_itself(path, image_file, err);
	if (status == 0)
		status = qc_file_posix_open(path, how, &file, err);
	if (status < 0)
		return status;
	if (is_image_itself(file, image_file)) {
		qc_file_close(file);
		return qc_fail(err, QC_E_FORMAT, "is the image itself");
	}
	*ret = file;
	return 0;
}

int qc_data_file_open(const struct qc_image *image, const char *policy_path,
		      enum qc_chain_policy policy, const struct qc_file_open *how,
		      const struct qc_file *image_file, struct qc_file **ret, struct qc_err *err)
{
	int status;

	if (!image->data_file_name)
		return qc_fail(err, QC_E_FORMAT,
			       "the image has an external data file but does not name it");
	status = open_named(image, policy_path, policy, how, image_file ? image_file : image->file,
			    ret, err);
	return status < 0 ? qc_err_context(err, "data file '%s'", image->data_file_name) : 0;
}

bool qc_data_file_is_raw(const struct qc_image *image)
{
	return image->geometry.external_data
	       && (image->header.autoclear & QC_AUTOCLEAR_DATA_RAW) != 0;
}
