# SPDX-License-Identifier: MIT
# Every symbol that the library exports begins with qc_.
set -euo pipefail

nm --extern-only --defined-only "${QCOW_LIBRARY:?}" | awk '
	NF == 3 { seen = 1 }
	NF == 3 && $3 !~ /^qc_/ { print $3 ": exported without the prefix qc_"; bad = 1 }
	END { exit bad || !seen }
'
