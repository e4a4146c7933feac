// SPDX-License-Identifier: MIT
#include "cmd/map_svg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/lock_down.h"
#include "cmd/new_file.h"
#include "cmd/survey_svg.h"
#include "image/image.h"
#include "io/file_posix.h"

/* A mistyped command line must not cost anybody a disk. */
static int require_picture(const char *path, struct qc_err *err)
{
	const struct qc_file_open look = {.lock = QC_LOCK_NONE};
	char start[5] = {0};
	struct qc_file *file;
	uint64_t bytes;
	int rc = qc_file_posix_open(path, &look, &file, err);

	if (rc < 0)
		return rc;
	bytes = file->bytes;
	rc = qc_file_read(file, 0, start, sizeof(start), err);
	qc_file_close(file);
	if (rc < 0)
		return rc;
	if (bytes > 0 && memcmp(start, "<svg ", 5) != 0 && memcmp(start, "<?xml", 5) != 0)
		return qc_fail(err, QC_E_EXISTS, "is no SVG picture, so it is not replaced");
	return 0;
}

static int create(const char *path, char **ret_target, struct qc_file **ret, struct qc_err *err)
{
	bool exists;
	int rc = new_file_target(path, true, ret_target, &exists, err);

	if (rc == 0 && exists)
		rc = require_picture(*ret_target, err);
	return rc < 0 ? rc : qc_file_posix_create(*ret_target, false, ret, err);
}

/* A picture shows what is wrong, so all is fine that can be looked through. */
static int survey(struct qc_file *file, struct survey_picture *picture,
		  struct qc_geometry *ret_geometry, struct qc_survey *ret,
		  struct qc_progress *progress, struct qc_err *err)
{
	struct qc_image *image;
	int rc = qc_image_open(file, &qc_findings_unheard, &image, err);

	if (rc < 0)
		return rc;
	*ret_geometry = image->geometry;
	picture->geometry = ret_geometry;
	picture->disk_bytes = image->header.disk_bytes;
	picture->file_bytes = file->bytes;
	picture->survey = ret;
	qc_image_close(image);
	return qc_survey_make(file, ret_geometry, picture->disk_bytes, progress, ret, err);
}

static int draw(const struct survey_picture *picture, const char *target, struct qc_file *to,
		struct qc_err *err)
{
	QC_AUTOFREE char *text = NULL;
	bool incomplete;
	size_t length;
	FILE *stream = open_memstream(&text, &length);
	int rc;

	if (!stream)
		return qc_fail_memory(err);
	rc = survey_svg(picture, stream, err);
	incomplete = ferror(stream) != 0;
	incomplete |= fclose(stream) != 0;
	if (incomplete && rc == 0)
		rc = qc_fail_memory(err);
	if (rc < 0)
		return rc;
	rc = qc_file_write(to, 0, text, length, err);
	return rc < 0 ? qc_err_context(err, "'%s'", target) : 0;
}

static int make(struct qc_file *file, const char *name, const char *target, struct qc_file *to,
		struct qc_progress *progress, struct qc_err *err)
{
	struct survey_picture picture = {.name = name};
	struct qc_geometry geometry;
	struct qc_survey surveyed;
	int rc = survey(file, &picture, &geometry, &surveyed, progress, err);

	if (rc < 0)
		return rc;
	rc = draw(&picture, target, to, err);
	qc_survey_clear(&surveyed);
	return rc;
}

int map_svg(const char *path, const char *target, const struct common_options *common,
	    struct qc_progress *progress, struct qc_err *err)
{
	const struct qc_file_open how = {
		.lock = common->force_share ? QC_LOCK_FORCE : QC_LOCK_READ,
	};
	QC_AUTOFREE char *real_target = NULL;
	struct qc_file *file, *to;
	int rc = qc_file_posix_open(path, &how, &file, err);

	if (rc < 0)
		return common_options_offer_share(err);
	rc = create(target, &real_target, &to, err);
	if (rc < 0) {
		qc_file_close(file);
		return qc_err_context(err, "'%s'", target);
	}
	lock_down_but_publish(common, to, NULL);
	rc = make(file, path, target, to, progress, err);
	if (rc == 0 && qc_file_posix_publish(to, real_target, true, err) < 0)
		rc = qc_err_context(err, "'%s'", target);
	qc_file_close(to);
	qc_file_close(file);
	return rc;
}
