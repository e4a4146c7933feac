# SPDX-License-Identifier: MIT
# What `./dev demo` shows: a disk of a virtual machine, edited from outside, in one piece or not at
# all. The lines that begin with $ are what is run, in an empty folder.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir bin
ln -s "${QCOWTOOL:?}" bin/qcowtool
PATH=$work/bin:$PATH

if [[ -t 1 ]]; then bold=$'\e[1m' green=$'\e[32m' plain=$'\e[0m'; else bold='' green='' plain=''; fi

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# Shows a command line and runs it.
show() { # SHELL-WORDS
	printf '  $ %s\n' "$1"
	bash -c "set -euo pipefail; $1" | sed 's/^/    /'
}

give_up() {
	echo "demo: $*" >&2
	exit 1
}

# Waits until the file has grown by so many MiB, or the process is gone.
wait_for_growth() { # FILE MIB PROCESS
	local enough
	enough=$(($(stat -c %s "$1") + ($2 << 20)))
	while kill -0 "$3" 2>/dev/null && [[ $(stat -c %s "$1") -lt $enough ]]; do
		sleep 0.01
	done
}

say "A disk of 1 GiB, made by qemu-img: 24 MiB compressed, 1 MiB plain, and a snapshot."
qemu-img create -q -f raw base.raw 1G
for part in 0 1 2 3 4 5; do
	qemu-io -f raw -c "write -q -P $((part + 65)) ${part}00M 4M" base.raw >/dev/null
done
show "qemu-img convert -c -f raw -O qcow2 base.raw disk.qcow2"
rm base.raw
show "qemu-io -c 'write -q -P 0x5a 64M 1M' disk.qcow2"
show "qemu-img snapshot -c before disk.qcow2"
show "qcowtool check disk.qcow2"

say "Its first sector, where a partition table would be:"
show "qcowtool read --hex --at=0x1b0 --length=80 disk.qcow2"

say "One command, four patches: a partition entry, its signature, a note, and a file. All or none."
seq 1 200000 >numbers.txt
show "qcowtool write disk.qcow2 \\
      --at=0x1be --hex='80 20 21 00 83 fe ff ff 00 08 00 00 00 f8 1f 00' \\
      --at=0x1fe --hex=55aa \\
      --at=300M --text='written by qcowtool' \\
      --at=512M --file=numbers.txt"

say "The same place now, and in the snapshot, which still holds the old bytes:"
show "qcowtool read --hex --at=0x1b0 --length=80 disk.qcow2"
show "qcowtool read --hex --at=0x1b0 --length=80 --snapshot=before disk.qcow2"

say "The file came through, and both referees find the image sound:"
show "qcowtool read --at=512M --length=$(stat -c %s numbers.txt) disk.qcow2 | cmp - numbers.txt && echo same"
show "qcowtool check disk.qcow2"
show "qemu-img check disk.qcow2"
show "qcowtool map --start-offset=512M --max-length=2M disk.qcow2"

say "Now a write of 384 MiB, killed while it is at it:"
show "cp disk.qcow2 old.qcow2"
show "head -c 384M /dev/urandom >large.bin"
printf '  $ qcowtool write disk.qcow2 --at=0 --file=large.bin &\n'
qcowtool write disk.qcow2 --at=0 --file=large.bin &
writer=$!
wait_for_growth disk.qcow2 100 "$writer"
kill -9 "$writer" 2>/dev/null || give_up "the write ended before it could be killed"
printf '  $ kill -9 %s\n' "$writer"
wait "$writer" 2>/dev/null || :
show "stat -c '%n: %s bytes' old.qcow2 disk.qcow2"

say "No repair and no recovery: is it sound, and what does it hold?"
show "qemu-img check disk.qcow2"
show "qcowtool check disk.qcow2"
show "qemu-img compare old.qcow2 disk.qcow2"

echo "  (What the killed write put behind the old end is free space: nothing refers to it.)"

say "${green}The disk is what it was before the killed write, every byte of 1 GiB.${plain}"
echo "The program is $QCOWTOOL; start with --help."
