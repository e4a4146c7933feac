// SPDX-License-Identifier: MIT
#include "cmd/create_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cmd/size.h"
#include "format/limits.h"

static const char *const preallocations[] = {
	[QC_PREALLOCATION_OFF] = "off",
	[QC_PREALLOCATION_METADATA] = "metadata",
	[QC_PREALLOCATION_FALLOC] = "falloc",
	[QC_PREALLOCATION_FULL] = "full",
};

#define PREALLOCATION_COUNT (sizeof(preallocations) / sizeof(preallocations[0]))

void create_options_init(struct create_options *options)
{
	*options = (struct create_options){
		.how.version = 3,
		.how.cluster_bits = QC_CLUSTER_BITS_DEFAULT,
		.how.refcount_order = QC_REFCOUNT_ORDER_V2,
	};
}

const char *create_preallocation_name(enum qc_preallocation preallocation)
{
	return preallocations[preallocation];
}

static int take_compat(struct create_options *options, const char *value, struct qc_err *err)
{
	if (strcmp(value, "0.10") == 0 || strcmp(value, "v2") == 0)
		options->how.version = 2;
	else if (strcmp(value, "1.1") == 0 || strcmp(value, "v3") == 0)
		options->how.version = 3;
	else
		return qc_fail(err, QC_E_ARGUMENT, "compat is 0.10, v2, 1.1 or v3, not '%s'",
			       value);
	snprintf(options->compat, sizeof(options->compat), "%s", value);
	return 0;
}

/* The exponent of a power of two; fails with `rule` for other numbers. */
static int take_power(const char *value, const char *rule, uint32_t *ret, struct qc_err *err)
{
	uint64_t number;
	int rc;

	rc = size_parse(value, &number, err);
	if (rc < 0)
		return rc;
	if (!qc_is_power_of_two(number))
		return qc_fail(err, QC_E_ARGUMENT, "%s", rule);
	*ret = (uint32_t)__builtin_ctzll(number);
	return 0;
}

static int take_cluster_size(struct create_options *options, const char *value, struct qc_err *err)
{
	return take_power(value, "the cluster size must be a power of two from 512 to 2M",
			  &options->how.cluster_bits, err);
}

static int take_refcount_bits(struct create_options *options, const char *value, struct qc_err *err)
{
	return take_power(value, "the refcount width must be a power of two up to 64 bits",
			  &options->how.refcount_order, err);
}

static int take_compression(struct create_options *options, const char *value, struct qc_err *err)
{
	if (strcmp(value, "zlib") == 0)
		options->how.compression = QC_COMPRESSION_ZLIB;
	else if (strcmp(value, "zstd") == 0)
		options->how.compression = QC_COMPRESSION_ZSTD;
	else
		return qc_fail(err, QC_E_ARGUMENT, "compression_type is zlib or zstd, not '%s'",
			       value);
	return 0;
}

static int take_switch(const char *value, bool *ret, struct qc_err *err)
{
	if (strcmp(value, "on") == 0 || strcmp(value, "yes") == 0 || strcmp(value, "true") == 0
	    || strcmp(value, "y") == 0)
		*ret = true;
	else if (strcmp(value, "off") == 0 || strcmp(value, "no") == 0
		 || strcmp(value, "false") == 0 || strcmp(value, "n") == 0)
		*ret = false;
	else
		return qc_fail(err, QC_E_ARGUMENT, "'%s' is neither on nor off", value);
	return 0;
}

static int take_extended_l2(struct create_options *options, const char *value, struct qc_err *err)
{
	return take_switch(value, &options->how.extended_l2, err);
}

static int take_lazy_refcounts(struct create_options *options, const char *value,
			       struct qc_err *err)
{
	return take_switch(value, &options->how.lazy_refcounts, err);
}

static int take_preallocation(struct create_options *options, const char *value, struct qc_err *err)
{
	for (size_t i = 0; i < PREALLOCATION_COUNT; i++) {
		if (strcmp(value, preallocations[i]) != 0)
			continue;
		options->how.preallocation = (enum qc_preallocation)i;
		options->has_preallocation = true;
		return 0;
	}
	return qc_fail(err, QC_E_ARGUMENT,
		       "preallocation is off, metadata, falloc or full, not '%s'", value);
}

static int take_data_file(struct create_options *options, const char *value, struct qc_err *err)
{
	if (value[0] == '\0')
		return qc_fail(err, QC_E_ARGUMENT, "the data file's name is empty");
	free(options->data_file);
	options->data_file = strdup(value);
	if (!options->data_file)
		return qc_fail_memory(err);
	options->how.data_file_name = options->data_file;
	return 0;
}

static int take_data_file_raw(struct create_options *options, const char *value, struct qc_err *err)
{
	return take_switch(value, &options->how.data_file_raw, err);
}

static const struct key {
	const char *name;
	int (*take)(struct create_options *options, const char *value, struct qc_err *err);
} keys[] = {
	{"compat", take_compat},
	{"cluster_size", take_cluster_size},
	{"refcount_bits", take_refcount_bits},
	{"compression_type", take_compression},
	{"extended_l2", take_extended_l2},
	{"lazy_refcounts", take_lazy_refcounts},
	{"preallocation", take_preallocation},
	{"data_file", take_data_file},
	{"data_file_raw", take_data_file_raw},
};

/* What qemu-img takes here, and people who know it type. */
static const struct {
	const char *start;
	const char *advice;
} elsewhere[] = {
	{"backing_file", "-b names the backing file"},
	{"backing_fmt", "-F names its format"},
	{"size", "it stands behind IMAGE"},
	{"encrypt", "encrypted images are for qemu-img create"},
};

/* People who guess at a name should not have to look for the right ones. */
static int refuse_key(const char *key, struct qc_err *err)
{
	char names[256];
	size_t used = 0;

	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (strncmp(key, elsewhere[i].start, strlen(elsewhere[i].start)) == 0)
			return qc_fail(err, QC_E_ARGUMENT, "there is no option '%s'; %s", key,
				       elsewhere[i].advice);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
					 i > 0 ? ", " : "", keys[i].name);
	return qc_fail(err, QC_E_ARGUMENT, "there is no option '%s'; there are %s", key, names);
}

static int take_one(struct create_options *options, const char *key, const char *value,
		    struct qc_err *err)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i].name) != 0)
			continue;
		if (!value)
			return qc_fail(err, QC_E_ARGUMENT, "'%s' has no value", key);
		if (keys[i].take(options, value, err) < 0)
			return qc_err_context(err, "%s", key);
		return 0;
	}
	return refuse_key(key, err);
}

int create_options_take(struct create_options *options, const char *list, struct qc_err *err)
{
	QC_AUTOFREE char *copy = strdup(list);
	char *rest = copy;
	char *item, *value;
	int rc;

	if (!copy)
		return qc_fail_memory(err);
	while ((item = strsep(&rest, ",")) != NULL) {
		value = strchr(item, '=');
		if (value)
			*value++ = '\0';
		rc = take_one(options, item, value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
