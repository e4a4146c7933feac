// SPDX-License-Identifier: MIT
#include "cmd/common_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 1024u

enum common_key {
	KEY_OUTPUT = COMMON_KEY_FIRST,
	KEY_CHAIN,
	KEY_NO_SYNC,
	KEY_TRUST_REFCOUNTS,
	KEY_NO_SANDBOX,
};

/* Each with its bit, in the order of --help. */
static const struct {
	enum common_option bit;
	struct argp_option option;
} common[COMMON_OPTION_COUNT] = {
	{COMMON_OUTPUT, {"output", KEY_OUTPUT, "human|json", 0, "how the result is printed", 0}},
	{COMMON_QUIET, {"quiet", 'q', NULL, 0, "print no result", 0}},
	{COMMON_PROGRESS,
	 {"progress", 'p', NULL, 0,
	  "show progress even where stderr is no terminal; SIGUSR1 gets one line at any time", 0}},
	{COMMON_FORCE_SHARE,
	 {"force-share", 'U', NULL, 0, "read even while a virtual machine uses the image", 0}},
	{COMMON_CHAIN,
	 {"chain", KEY_CHAIN, "none|dir|any", 0,
	  "which backing files may be opened: none, those in or below the image's own directory, "
	  "or any (the default)",
	  0}},
	{COMMON_DRY_RUN, {"dry-run", 'n', NULL, 0, "do everything but commit, and report it", 0}},
	{COMMON_NO_SYNC,
	 {"no-sync", KEY_NO_SYNC, NULL, 0,
	  "skip every sync; a crash of the machine may then ruin the image", 0}},
	{COMMON_TRUST_REFCOUNTS,
	 {"trust-refcounts", KEY_TRUST_REFCOUNTS, NULL, 0,
	  "skip the walk that proves free clusters free", 0}},
	{COMMON_JOBS, {"jobs", 'j', "N", 0, "threads; one for each core is the default", 0}},
	{COMMON_NO_SANDBOX,
	 {"no-sandbox", KEY_NO_SANDBOX, NULL, 0,
	  "do not lock the process down after the files are open", 0}},
};

unsigned int common_options_list(unsigned int accepts, struct argp_option *ret)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < COMMON_OPTION_COUNT; i++)
		if (accepts & common[i].bit)
			ret[count++] = common[i].option;
	return count;
}

static bool accepted(unsigned int accepts, int key)
{
	for (unsigned int i = 0; i < COMMON_OPTION_COUNT; i++)
		if (common[i].option.key == key)
			return (accepts & common[i].bit) != 0;
	return false;
}

/* The index of value among the count words, -1 if it is none of them. */
static int choose(const char *const words[], int count, const char *value)
{
	for (int i = 0; i < count; i++)
		if (strcmp(words[i], value) == 0)
			return i;
	return -1;
}

static int take_output(struct common_options *options, const char *value, struct qc_err *err)
{
	static const char *const words[] = {[OUTPUT_HUMAN] = "human", [OUTPUT_JSON] = "json"};
	int choice = choose(words, 2, value);

	if (choice < 0)
		return qc_fail(err, QC_E_ARGUMENT, "--output: '%s' is not human or json", value);
	options->output = (enum common_output)choice;
	return 0;
}

static int take_chain(struct common_options *options, const char *value, struct qc_err *err)
{
	static const char *const words[] = {
		[QC_CHAIN_NONE] = "none", [QC_CHAIN_DIR] = "dir", [QC_CHAIN_ANY] = "any"};
	int choice = choose(words, 3, value);

	if (choice < 0)
		return qc_fail(err, QC_E_ARGUMENT, "--chain: '%s' is not none, dir or any", value);
	options->chain = (enum qc_chain_policy)choice;
	return 0;
}

static int take_jobs(struct common_options *options, const char *value, struct qc_err *err)
{
	char *end;
	unsigned long jobs = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end != '\0' || jobs == 0 || jobs > JOBS_MAX)
		return qc_fail(err, QC_E_ARGUMENT, "--jobs: '%s' is no number from 1 to %u", value,
			       JOBS_MAX);
	options->jobs = (unsigned int)jobs;
	return 0;
}

int common_options_take(struct common_options *options, unsigned int accepts, int key,
			const char *value, bool *ret_known, struct qc_err *err)
{
	*ret_known = accepted(accepts, key);
	if (!*ret_known)
		return 0;
	switch (key) {
	case KEY_OUTPUT:
		return take_output(options, value, err);
	case KEY_CHAIN:
		return take_chain(options, value, err);
	case 'j':
		return take_jobs(options, value, err);
	case 'q':
		options->quiet = true;
		break;
	case 'p':
		options->progress = true;
		break;
	case 'U':
		options->force_share = true;
		break;
	case 'n':
		options->dry_run = true;
		break;
	case KEY_NO_SYNC:
		options->no_sync = true;
		break;
	case KEY_TRUST_REFCOUNTS:
		options->trust_refcounts = true;
		break;
	case KEY_NO_SANDBOX:
		options->no_sandbox = true;
		break;
	}
	return 0;
}

int common_options_offer_share(struct qc_err *err)
{
	size_t used = strlen(err->text);

	if (err->code == QC_E_LOCKED)
		snprintf(err->text + used, sizeof(err->text) - used, "; -U reads it all the same");
	return -(int)err->code;
}
