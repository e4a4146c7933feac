# SPDX-License-Identifier: MIT
# What each file must have, and what none may have.
set -euo pipefail

bad=0

# Each offender is a line of the first argument.
complain_about() { # OFFENDERS WORDS
	[[ -n $1 ]] || return 0
	printf '%s\n' "$1" "-> $2"
	bad=1
}

files() { # NAME-PATTERN
	find lib cmd tests -name "$1" -print0
}

without_licence() {
	while IFS= read -r -d '' file; do
		[[ $(head -n 1 "$file") == '// SPDX-License-Identifier: MIT' ]] || echo "$file"
	done < <(files '*.[ch]')
}

# A pattern such as [x] keeps this file from being its own offender.
leftovers() {
	find . -type f -not -path './.git/*' -not -path './build/*' -not -path './fixtures/foreign/*' \
		-exec grep -InE '/wor[k]/|/roo[t]/|/hom[e]/|/tmp/[a-z]' {} + |
		grep -v '/tmp/qcow' || true
	find . -type f -not -path './.git/*' -not -path './build/*' -not -path './fixtures/foreign/*' \
		-exec grep -IniE 'generated (by|with)[ ]|sub-?agen[t]|\bbriefin[g]\b|co-authore[d]' {} + || true
}

complain_about "$(without_licence)" "the first line must name the licence"
complain_about "$(files '*.h' | xargs -0 grep -L '^#pragma once$')" "headers need #pragma once"
complain_about "$(files '*.[ch]' | xargs -0 grep -nE '#[[:space:]]*define[[:space:]]+_(GNU|FILE)_')" \
	"feature macros come from meson.build"
complain_about "$(files '*.[ch]' | xargs -0 grep -nE '\b(sprintf|strcpy|strcat|gets|alloca|atoi|atol)\(')" \
	"calls that cannot fail safely"
complain_about "$(find . \( -name 'util.c' -o -name 'utils.c' -o -name 'misc.c' \) -print)" \
	"a file is named after what it is for"
complain_about "$(leftovers)" "paths and remarks that belong to somebody's machine"
exit "$bad"
