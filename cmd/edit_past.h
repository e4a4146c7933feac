// SPDX-License-Identifier: MIT
/* Says on stderr what had to be done to an image before a command could edit it. */
#pragma once

#include "cmd/command_line.h"
#include "ops/edit.h"

void edit_past_say(const struct command_line *line, const char *path,
		   const struct qc_edit_past *past);
