# SPDX-License-Identifier: MIT
# Every #include "..." of lib/ and cmd/ agrees with lib/LAYERS, and nothing sees tests/.
set -euo pipefail

find lib cmd -name '*.[ch]' -print0 | xargs -0 awk '
	function layer_of(path) {
		sub(/\/.*/, "", path)
		return path
	}
	FILENAME == "lib/LAYERS" {
		sub(/#.*/, "")
		if (NF == 0)
			next
		if ($1 == "except" || $1 == "never")
			rule[$2, $3] = $1
		else
			rank[$2] = $1
		next
	}
	/^[ \t]*#[ \t]*include[ \t]*"/ {
		split($0, part, "\"")
		target = part[2]
		to = layer_of(target)
		from = FILENAME
		sub(/^lib\//, "", from)
		from = layer_of(from)
		if (!(from in rank))
			complaint = "layer " from " is not in lib/LAYERS"
		else if (target !~ /\// || !(to in rank))
			complaint = "\"" target "\" is not layer/file.h of a layer in lib/LAYERS"
		else if (rule[from, to] == "never" || rule[from, target] == "never")
			complaint = from " must never see " target
		else if (rule[from, to] == "except" || rule[from, target] == "except")
			next
		else if (from != to && rank[from] <= rank[to])
			complaint = from " (rank " rank[from] ") must not see " target " (rank " rank[to] ")"
		else
			next
		print FILENAME ":" FNR ": " complaint
		bad = 1
	}
	END { exit bad }
' lib/LAYERS
