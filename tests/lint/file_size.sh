# SPDX-License-Identifier: MIT
# No file has more than 500 lines.
set -euo pipefail

find lib cmd tests dev -type f -not -name '*.qcow2*' -exec awk '
	FNR == 501 { print FILENAME ": more than 500 lines"; bad = 1 }
	END { exit bad }
' {} +
