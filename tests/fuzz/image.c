// SPDX-License-Identifier: MIT
/*
 * A whole image: opened strictly and leniently, mapped and read, its snapshots too, surveyed and checked.
 * The work is bounded here, because a disk may be exabytes long; that the check ends by itself is part of
 * what is tested.
 */
#include "base/checked.h"
#include "check/check.h"
#include "fuzz/bounded_image.h"
#include "fuzz/fuzz.h"
#include "image/chain_map.h"
#include "image/read.h"
#include "image/thin.h"
#include "io/file_mem.h"
#include "ops/survey.h"

#define EXTENTS_MAX 256
#define READ_BYTES ((size_t)8192)

static void map_all(const struct qc_view *view)
{
	struct qc_chain_extent extent;
	uint64_t at = 0;
	struct qc_err err;

	for (unsigned int i = 0; i < EXTENTS_MAX && at < view->disk_bytes; i++) {
		if (qc_chain_map(view, qc_guest(at), view->disk_bytes - at, &extent, &err) < 0)
			return;
		FUZZ_MUST(extent.bytes >= 1 && extent.bytes <= view->disk_bytes - at);
		at += extent.bytes;
	}
}

static void read_some(const struct qc_view *view)
{
	const uint64_t places[] = {0, 0x3f00, view->disk_bytes / 2, view->disk_bytes - 1,
				   view->disk_bytes - READ_BYTES};
	uint8_t *buffer = malloc(READ_BYTES);
	struct qc_err err;

	FUZZ_MUST(buffer != NULL);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i] < view->disk_bytes)
			qc_read(view, qc_guest(places[i]), buffer, READ_BYTES, &err);
	free(buffer);
}

static void look_at(struct qc_image *image)
{
	struct qc_layer layer = {.path = (char *)"image",
				 .file = image->file,
				 .image = image,
				 .disk_bytes = image->header.disk_bytes};
	struct qc_view view;
	struct qc_err err;

	if (qc_image_require_readable(image, &err) < 0)
		return;
	qc_image_is_thin(image);
	qc_view_active(&layer, &view);
	map_all(&view);
	read_some(&view);
	for (size_t i = 0; i < image->snapshots.count && i < 4; i++) {
		if (qc_view_snapshot(&layer, &image->snapshots.list[i], &view, &err) < 0)
			continue;
		map_all(&view);
		read_some(&view);
		qc_view_clear(&view);
	}
}

/* Every cluster of the file is of one kind. */
static void survey(const struct qc_image *image)
{
	struct qc_survey survey;
	uint64_t clusters = 0;
	struct qc_err err;

	if (qc_survey_make(image->file, &image->geometry, image->header.disk_bytes, NULL, &survey,
			   &err)
	    < 0) {
		FUZZ_MUST(err.text[0] != '\0');
		return;
	}
	for (unsigned int kind = 0; kind < QC_SURVEY_KINDS; kind++)
		clusters += survey.total.clusters[kind];
	FUZZ_MUST(clusters == survey.clusters);
	qc_survey_clear(&survey);
}

static void open_and_look(struct qc_file *file, const struct qc_finding_sink *findings)
{
	struct qc_image *image;
	struct qc_err err;

	if (qc_image_open(file, findings, &image, &err) < 0) {
		FUZZ_MUST(err.text[0] != '\0');
		return;
	}
	if (image->l1)
		look_at(image);
	if (findings)
		survey(image);
	qc_image_close(image);
}

static void check(struct qc_file *file)
{
	const struct qc_check_options options = {.findings_max = FUZZ_FINDINGS_MAX};
	struct qc_check_result result = {0};
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	struct qc_err err;

	if (qc_check_run(file, &options, &sink, &result, &err) < 0)
		return;
	FUZZ_MUST(result.findings == findings);
	FUZZ_MUST(result.completed || result.check_errors > 0);
	FUZZ_MUST(result.corruptions + result.leaks == 0 || findings > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	unsigned int findings;
	struct qc_finding_sink sink = fuzz_sink(&findings);
	struct qc_file *file;
	uint8_t *copy = malloc(length + 1);
	struct qc_err err;

	FUZZ_MUST(copy != NULL);
	memcpy(copy, bytes, length);
	fuzz_bound_image(copy, length);
	FUZZ_MUST(qc_file_mem_open(copy, length, &file, &err) == 0);
	open_and_look(file, NULL);
	open_and_look(file, &sink);
	check(file);
	FUZZ_MUST(file->bytes == length);
	FUZZ_MUST(length == 0 || memcmp(qc_file_mem_bytes(file), copy, length) == 0);
	qc_file_close(file);
	free(copy);
	return 0;
}
