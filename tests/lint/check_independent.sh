# SPDX-License-Identifier: MIT
# The check referees the mapper and transactions, so no call of its objects may end up in theirs,
# whatever headers were included on the way.
set -euo pipefail

nm "${QCOW_LIBRARY:?}" | awk '
	/\.o:$/ {
		object = $1
		sub(/:$/, "", object)
		sub(/.*\//, "", object)
		next
	}
	NF == 3 && $2 == "T" && object ~ /^(image_(map|read|chain_map)\.|txn_)/ { theirs[$3] = object }
	NF == 2 && $1 == "U" && object ~ /^check_/ { uses[object, $2] = $2; seen = 1 }
	END {
		for (use in uses) {
			name = uses[use]
			if (!(name in theirs))
				continue
			split(use, part, SUBSEP)
			print part[1] " uses " name " of " theirs[name]
			bad = 1
		}
		if (!seen)
			print "no object of lib/check was read"
		exit bad || !seen
	}
'
