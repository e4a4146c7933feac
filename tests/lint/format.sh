# SPDX-License-Identifier: MIT
# The C files look as clang-format puts them (`./dev format`).
set -euo pipefail

find lib cmd tests -name '*.[ch]' -print0 |
	xargs -0 clang-format --dry-run -Werror --ferror-limit=3
