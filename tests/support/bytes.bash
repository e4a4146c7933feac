# SPDX-License-Identifier: MIT
# For tests that look at the bytes of an image, or change them.
# shellcheck shell=bash

hex() { # FILE OFFSET LENGTH
	od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# A number, big-endian.
be() { # FILE OFFSET LENGTH
	echo $((16#$(hex "$@")))
}

poke() { # FILE OFFSET HEX-DIGITS
	local i
	for ((i = 0; i < ${#3}; i += 2)); do
		printf '%b' "\\x${3:i:2}"
	done | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Where the L1 or L2 entry at OFFSET leads to.
entry_host() { # FILE OFFSET
	local entry
	entry=$(be "$1" "$2" 8)
	echo $((entry & 0x00fffffffffffe00))
}
