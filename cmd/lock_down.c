// SPDX-License-Identifier: MIT
#include "cmd/lock_down.h"

#include <time.h>

#include "io/sandbox.h"

/* At its end, a program built to look for leaks starts another process, which the sandbox forbids. */
#if defined(__SANITIZE_ADDRESS__)
#define CAN_LOCK_DOWN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAN_LOCK_DOWN 0
#endif
#endif
#ifndef CAN_LOCK_DOWN
#define CAN_LOCK_DOWN 1
#endif

void lock_down_but_publish(const struct common_options *common, const struct qc_file *file,
			   const struct qc_file *and_this)
{
	if (common->no_sandbox || !CAN_LOCK_DOWN)
		return;
	tzset(); /* reads a file, once, if any date is to be shown in local time */
	qc_sandbox_lock(file, and_this);
}

void lock_down(const struct common_options *common)
{
	lock_down_but_publish(common, NULL, NULL);
}

void lock_down_opened(const void *common)
{
	lock_down(common);
}
