// SPDX-License-Identifier: MIT
/*
 * The options that mean the same in every command. A command says which of them it accepts; any
 * other is unknown to it, for --help as well as for the parser.
 */
#pragma once

#include <argp.h>
#include <stdbool.h>

#include "base/err.h"
#include "image/reference.h"

enum common_option {
	COMMON_OUTPUT = 1 << 0,		 /* --output=human|json */
	COMMON_QUIET = 1 << 1,		 /* -q */
	COMMON_FORCE_SHARE = 1 << 2,	 /* -U */
	COMMON_CHAIN = 1 << 3,		 /* --chain=none|dir|any */
	COMMON_DRY_RUN = 1 << 4,	 /* -n */
	COMMON_NO_SYNC = 1 << 5,	 /* --no-sync */
	COMMON_TRUST_REFCOUNTS = 1 << 6, /* --trust-refcounts */
	COMMON_NO_SANDBOX = 1 << 7,	 /* --no-sandbox */
	COMMON_JOBS = 1 << 8,		 /* -j N */
	COMMON_PROGRESS = 1 << 9,	 /* -p */
};

#define COMMON_OPTION_COUNT 10

enum common_output {
	OUTPUT_HUMAN,
	OUTPUT_JSON,
};

/* Zeroed but for `chain` (QC_CHAIN_ANY) is what holds when nothing is given. */
struct common_options {
	enum common_output output;
	enum qc_chain_policy chain;
	bool quiet;
	bool progress;
	bool force_share;
	bool dry_run;
	bool no_sync;
	bool trust_refcounts;
	bool no_sandbox;
	unsigned int jobs; /* threads; 0: one for each core */
};

/* Keys of the common options that have no letter are from here on; a command's own stay below. */
#define COMMON_KEY_FIRST 0x1000

/*
 * Puts the argp options that belong to the bits in `accepts` at `ret`, which has room for
 * COMMON_OPTION_COUNT, and returns how many they are.
 */
unsigned int common_options_list(unsigned int accepts, struct argp_option *ret);

/*
 * Takes one option into *options. *ret_known tells whether `key` is the key of a common option that
 * is in `accepts`. Fails if the value makes no sense.
 */
int common_options_take(struct common_options *options, unsigned int accepts, int key,
			const char *value, bool *ret_known, struct qc_err *err);

/*
 * For commands that take -U, when opening an image for reading has failed: an image in use can be
 * looked at all the same, and the error then says so. Returns -err->code.
 */
int common_options_offer_share(struct qc_err *err);
