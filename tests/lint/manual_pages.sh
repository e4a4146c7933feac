# SPDX-License-Identifier: MIT
# The manual pages and the completions are well formed, as far as the programs that can tell are there,
# and all of them are installed.
set -euo pipefail

bad=0
has() { command -v "$1" >/dev/null; }

complain_about() { # FILE REPORT
	[[ -z $2 ]] || {
		printf '%s\n' "$2" "-> $1"
		bad=1
	}
}

# What man warns about while it throws the page away.
warnings_of_man() { # FILE
	{ LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$1" >/dev/null; } 2>&1 || true
}

# mandoc's other complaint is that pages which it has no index of do not exist.
warnings_of_mandoc() { # FILE
	mandoc -Tlint -W warning "$1" 2>/dev/null || true
}

for page in docs/man/*.[1-8]; do
	if has man; then complain_about "$page" "$(warnings_of_man "$page")"; fi
	if has mandoc; then complain_about "$page" "$(warnings_of_mandoc "$page")"; fi
	grep -qF "'docs/man/$(basename "$page")'" meson.build ||
		complain_about "$page" "meson.build does not install it"
done
for file in completion/*; do
	grep -qF "'$file'" meson.build || complain_about "$file" "meson.build does not install it"
done
shellcheck --shell=bash completion/qcowtool.bash || bad=1
if has zsh; then zsh -f -n completion/_qcowtool || bad=1; fi
if has fish; then fish --no-execute completion/qcowtool.fish || bad=1; fi
exit "$bad"
