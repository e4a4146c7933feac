# SPDX-License-Identifier: MIT
# Who may call what: files are touched in lib/io only, and nothing is printed but by cmd/. What the
# library's objects import is what counts, so that no macro or comment can mislead this check.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

raw_io='open|openat|openat2|creat|close|read|pread|readv|preadv2?|write|pwrite|writev|pwritev2?'
raw_io+='|lseek|fsync|fdatasync|syncfs|sync_file_range|fallocate|posix_fallocate|ftruncate|truncate'
raw_io+='|fcntl|flock|ioctl|stat|fstat|lstat|statx|fstatat|link|linkat|unlink|unlinkat|rename'
raw_io+='|renameat2?|mkstemp|mkostemp|tmpfile|memfd_create|copy_file_range|sendfile|mmap'
raw_io+='|fopen|fdopen|fread|fwrite'
printing='v?printf|v?fprintf|v?dprintf|puts|putchar|fputs|fputc|putc|perror|warnx?|errx?|syslog'
printing+='|stdout|stderr|stdin'

# The names that FILES.o of a layer import: "base_err.c.o strerror_r", without glibc's variants.
nm --undefined-only "${QCOW_LIBRARY:?}" | awk '
	/\.o:$/ { object = $1; sub(/:$/, "", object); sub(/.*\//, "", object); next }
	$1 == "U" {
		name = $2
		sub(/^__/, "", name)
		sub(/_chk$/, "", name)
		sub(/_2$/, "", name)
		sub(/64$/, "", name)
		sub(/64v2$/, "v2", name)
		print object, name
	}
' >"$work/imports"

bad=0
if grep -vE '^io_' "$work/imports" | grep -E " ($raw_io)\$"; then
	echo "raw file access outside lib/io"
	bad=1
fi
if grep -E " ($printing)\$" "$work/imports"; then
	echo "printing in the library"
	bad=1
fi
[[ -s $work/imports ]] || bad=1
exit "$bad"
