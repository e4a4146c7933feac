// SPDX-License-Identifier: MIT
#include "cmd/edit_past.h"

#include <inttypes.h>

#include "cmd/command.h"

void edit_past_say(const struct command_line *line, const char *path,
		   const struct qc_edit_past *past)
{
	if (line->common.quiet)
		return;
	if (past->recovered != QC_RECOVER_CLEAN)
		command_note(line->name, path, "settled an earlier transaction: %s",
			     qc_recover_state_text(past->recovered));
	if (past->rebuilt)
		command_note(line->name, path,
			     "the image was not closed cleanly: its refcounts are rebuilt (%" PRIu64
			     " corruptions, %" PRIu64 " leaks)",
			     past->corruptions, past->leaks);
}
