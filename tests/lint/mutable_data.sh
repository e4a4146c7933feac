# SPDX-License-Identifier: MIT
# The library has no state of its own: nothing of it lies in a section that can be written at run
# time. Constant tables of pointers (.data.rel.ro) can not, once the program has started.
set -euo pipefail

nm --format=sysv "${QCOW_LIBRARY:?}" | awk -F '|' '
	{ gsub(/ /, "") }
	$4 == "FUNC" { seen = 1 }
	$4 ~ /OBJECT|TLS|COMMON/ && $7 ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ &&
	$7 !~ /^\.data\.rel\.ro/ {
		print $1 ": file-scope data in " $7
		bad = 1
	}
	END {
		if (!seen) {
			print "no symbols were read"
			bad = 1
		}
		exit bad
	}
'
