# SPDX-License-Identifier: MIT
# Every symbol of the library begins with qc_, or with qcowtool_ where it is for other programs.
set -euo pipefail

nm --extern-only --defined-only "${QCOW_LIBRARY:?}" | awk '
	NF == 3 { seen = 1 }
	NF == 3 && $3 !~ /^(qc|qcowtool)_/ { print $3 ": exported without the prefix qc_"; bad = 1 }
	END { exit bad || !seen }
'
