// SPDX-License-Identifier: MIT
/* The moment after which a command opens nothing more; see io/sandbox.h. */
#pragma once

#include "cmd/common_options.h"

/* Locks the process down, unless --no-sandbox was given. */
void lock_down(const struct common_options *common);
