# SPDX-License-Identifier: MIT
# All shell files pass.
set -euo pipefail

# SC2016: programs for awk and sed stand in quotes that must not expand.
# SC2154: what bats' `run` sets is invisible here.
mapfile -t scripts < <(find tests -name '*.sh' -o -name '*.bash' | sort)
mapfile -t bats_files < <(find tests -name '*.bats' | sort)
shellcheck --shell=bash --exclude=SC2016 dev .ci/run "${scripts[@]}"
[[ ${#bats_files[@]} == 0 ]] || shellcheck --shell=bats --exclude=SC2016,SC2154 "${bats_files[@]}"
