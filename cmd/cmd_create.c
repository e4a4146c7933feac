// SPDX-License-Identifier: MIT
/* create: a new image, which appears whole or not at all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/create_options.h"
#include "cmd/interrupt.h"
#include "cmd/lock_down.h"
#include "cmd/new_file.h"
#include "cmd/progress.h"
#include "cmd/size.h"
#include "image/chain.h"

enum {
	KEY_BACKING = 'b',
	KEY_BACKING_FORMAT = 'F',
	KEY_OPTION = 'o',
	KEY_FORCE = 0x100,
};

struct create_line {
	struct create_options options;
	bool force;
};

static const struct argp_option options[] = {
	{"backing", KEY_BACKING, "FILE", 0, "the image that shows where the new one is empty", 0},
	{"backing-format", KEY_BACKING_FORMAT, "FORMAT", 0, "its format: qcow2 or raw", 0},
	{"options", KEY_OPTION, "KEY=VALUE,...", 0,
	 "compat, cluster_size, refcount_bits, compression_type, extended_l2, lazy_refcounts, "
	 "preallocation, data_file, data_file_raw",
	 0},
	{"force", KEY_FORCE, NULL, 0, "replace IMAGE if it exists", 0},
	{0},
};

static int take(void *context, int key, const char *value, struct qc_err *err)
{
	struct create_line *c = context;

	switch (key) {
	case KEY_BACKING:
		c->options.how.backing_name = value;
		break;
	case KEY_BACKING_FORMAT:
		if (strcmp(value, "qcow2") != 0 && strcmp(value, "raw") != 0)
			return qc_fail(err, QC_E_ARGUMENT, "'%s' is neither qcow2 nor raw", value);
		c->options.how.backing_format = value;
		break;
	case KEY_FORCE:
		c->force = true;
		break;
	default:
		return create_options_take(&c->options, value, err);
	}
	return 0;
}

static const struct command_syntax syntax = {
	.arguments = "IMAGE [SIZE]",
	.least = 1,
	.most = 2,
	.doc = "Makes a new image of SIZE, or of the size of its backing file.\v"
	       "Examples: qcowtool create disk.qcow2 10G\n"
	       "          qcowtool create -b base.qcow2 -F qcow2 overlay.qcow2",
	.options = options,
	.take = take,
	.accepts = COMMON_QUIET | COMMON_PROGRESS | COMMON_NO_SYNC | COMMON_FORCE_SHARE
		   | COMMON_NO_SANDBOX,
};

/* The line that qemu-img prints, for those who read it. */
static void announce(const char *path, const struct create_options *o)
{
	const struct qc_create *how = &o->how;

	printf("Formatting '%s', fmt=qcow2 cluster_size=%" PRIu32 " extended_l2=%s", path,
	       UINT32_C(1) << how->cluster_bits, how->extended_l2 ? "on" : "off");
	if (o->has_preallocation)
		printf(" preallocation=%s", create_preallocation_name(how->preallocation));
	printf(" compression_type=%s size=%" PRIu64,
	       how->compression == QC_COMPRESSION_ZSTD ? "zstd" : "zlib", how->disk_bytes);
	if (o->compat[0] != '\0')
		printf(" compat=%s", o->compat);
	if (how->backing_name)
		printf(" backing_file=%s backing_fmt=%s", how->backing_name, how->backing_format);
	if (how->data_file_name)
		printf(" data_file=%s", how->data_file_name);
	if (how->data_file_raw)
		printf(" data_file_raw=on");
	printf(" lazy_refcounts=%s refcount_bits=%u\n", how->lazy_refcounts ? "on" : "off",
	       1u << how->refcount_order);
}

/*
 * Opens what the new image will stand on, so that a name that leads nowhere is noticed now, and
 * finds out its size. The image that would name it does not exist yet; one made up for the purpose
 * has the same chain opened as later readers will.
 */
static int open_backing(const struct qc_create *how, const char *image_path, struct qc_file *old,
			const struct common_options *common, struct qc_layer **ret,
			struct qc_err *err)
{
	const struct qc_chain_open open = {
		.file.lock = common->force_share ? QC_LOCK_FORCE : QC_LOCK_READ,
		.policy = QC_CHAIN_ANY,
		.metadata_only = true,
	};
	QC_AUTOFREE char *name = strdup(how->backing_name);
	struct qc_image image = {.backing_name = name};
	struct qc_file no_file = {0};

	if (!name)
		return qc_fail_memory(err);
	image.file = old ? old : &no_file;
	snprintf(image.extensions.backing_format, sizeof(image.extensions.backing_format), "%s",
		 how->backing_format);
	return qc_chain_open_backing(&image, image_path, &open, ret, err);
}

static int use_backing(struct qc_create *how, bool has_size, const char *image_path,
		       struct qc_file *old, const struct common_options *common, struct qc_err *err)
{
	struct qc_layer *backing = NULL;
	int rc;

	if (!how->backing_name)
		return 0;
	rc = open_backing(how, image_path, old, common, &backing, err);
	if (rc < 0)
		return common_options_offer_share(err);
	if (!has_size)
		how->disk_bytes = backing->disk_bytes;
	qc_layer_close(backing);
	return 0;
}

/*
 * An old image is held, as its writer would hold it, until the new one is there. So one that is in
 * use is not replaced, and neither is the one that the new image stands on.
 */
static int hold_old(const char *path, struct qc_file **ret, struct qc_err *err)
{
	const struct qc_file_open how = {.writable = true, .lock = QC_LOCK_WRITE};

	return qc_file_posix_open(path, &how, ret, err);
}

/* A data file is never replaced: it may be somebody's disk. */
static int create_data(const struct qc_create *how, const char *image_target, bool no_sync,
		       char **ret_target, struct qc_file **ret, struct qc_err *err)
{
	QC_AUTOFREE char *path = NULL;
	bool exists;
	int rc;

	if (!how->data_file_name)
		return 0;
	rc = qc_reference_resolve("", how->data_file_name, &path, err);
	if (rc == 0)
		rc = new_file_target(path, false, ret_target, &exists, err);
	if (rc == -QC_E_EXISTS)
		rc = qc_fail(err, QC_E_EXISTS,
			     "it exists already, and data files are never replaced");
	if (rc == 0 && strcmp(*ret_target, image_target) == 0)
		rc = qc_fail(err, QC_E_ARGUMENT, "is the image itself");
	if (rc == 0)
		rc = qc_file_posix_create(*ret_target, no_sync, ret, err);
	if (rc == 0)
		rc = qc_create_write_data(how, *ret, err);
	return rc < 0 ? qc_err_context(err, "data file '%s'", how->data_file_name) : 0;
}

/* Both files are complete before either gets its name; the data file is the first to, so that there
 * never is an image without it. */
static int write_files(const struct qc_create *how, const char *path, bool replace,
		       const struct common_options *common, struct qc_file *file,
		       struct qc_err *err)
{
	QC_AUTOFREE char *data_target = NULL;
	struct qc_file *data = NULL;
	int rc;

	rc = create_data(how, path, common->no_sync, &data_target, &data, err);
	if (rc == 0) {
		lock_down_but_publish(common, file, data);
		rc = qc_create_write(how, file, err);
	}
	(void)interrupt_catch(); /* from here on it is too late to say that nothing was made */
	if (rc == 0 && data && (rc = qc_file_sync(file, QC_SYNC_FULL, err)) == 0)
		rc = qc_file_posix_publish(data, data_target, false, err);
	if (rc == 0 && (rc = qc_file_posix_publish(file, path, replace, err)) < 0
	    && rc != -QC_E_OUTCOME_UNKNOWN && data)
		qc_file_posix_unpublish(data, data_target);
	qc_file_close(data);
	return rc;
}

static int write_image(const struct qc_create *how, const char *path, bool replace,
		       const struct common_options *common, struct qc_err *err)
{
	struct qc_create settled = *how;
	struct qc_file *file;
	int rc;

	/* Disks have whole sectors, and a raw data file shows what no table could deny. */
	settled.disk_bytes = qc_align_up(how->disk_bytes, QC_SECTOR_BYTES);
	if (how->data_file_raw && how->preallocation == QC_PREALLOCATION_OFF)
		settled.preallocation = QC_PREALLOCATION_METADATA;
	rc = qc_create_check(&settled, err);
	if (rc < 0)
		return rc;
	rc = qc_file_posix_create(path, common->no_sync, &file, err);
	if (rc < 0)
		return rc;
	rc = write_files(&settled, path, replace, common, file, err);
	qc_file_close(file);
	return rc;
}

static int create(struct create_line *c, const struct command_line *line, struct qc_err *err)
{
	QC_AUTOFREE char *target = NULL;
	struct qc_file *old = NULL;
	bool exists = false;
	int rc;

	rc = new_file_target(line->argument[0], c->force, &target, &exists, err);
	if (rc == -QC_E_EXISTS)
		rc = qc_fail(err, QC_E_EXISTS, "it exists already; --force replaces it");
	if (rc == 0 && exists)
		rc = hold_old(target, &old, err);
	if (rc == 0)
		rc = use_backing(&c->options.how, line->argument[1], line->argument[0], old,
				 &line->common, err);
	if (rc == 0)
		rc = write_image(&c->options.how, target, c->force, &line->common, err);
	qc_file_close(old);
	return rc;
}

/* What can be wrong without looking at any file. */
static int settle_arguments(struct create_line *c, const struct command_line *line,
			    struct qc_err *err)
{
	struct qc_create *how = &c->options.how;

	if (how->backing_name && !how->backing_format)
		return qc_fail(err, QC_E_ARGUMENT, "-b needs the backing file's format, -F");
	if (!how->backing_name && how->backing_format)
		return qc_fail(err, QC_E_ARGUMENT, "-F without a backing file, -b");
	if (!how->backing_name && !line->argument[1])
		return qc_fail(err, QC_E_ARGUMENT, "the image needs a SIZE");
	if (line->argument[1] && size_parse(line->argument[1], &how->disk_bytes, err) < 0)
		return qc_err_context(err, "SIZE");
	if (how->disk_bytes > QC_DISK_BYTES_MAX - QC_SECTOR_BYTES)
		return qc_fail(err, QC_E_ARGUMENT, "SIZE is too large");
	return 0;
}

int cmd_create(int argc, char **argv)
{
	struct create_line c = {0};
	struct command_line line;
	struct progress progress;
	struct qc_err err;
	int rc;

	create_options_init(&c.options);
	if (!command_line_parse(&syntax, argc, argv, &c, &line))
		return line.status;
	if (settle_arguments(&c, &line, &err) < 0)
		return command_usage(line.name, "%s", err.text);
	progress_init(&progress, &line, line.argument[0]);
	c.options.how.progress = &progress.base;
	rc = create(&c, &line, &err);
	progress_end(&progress);
	if (rc < 0) {
		free(c.options.data_file);
		return command_fail(line.name, line.argument[0], &err);
	}
	if (!line.common.quiet)
		announce(line.argument[0], &c.options);
	free(c.options.data_file);
	return EXIT_DONE;
}
