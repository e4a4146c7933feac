# Only that it works: times of small images on a machine with other work say nothing.

load ../../support/cli

@test "the quick benchmark prints every row, with a figure in each column, and leaves nothing behind" {
	mkdir images
	run --separate-stderr env BENCH_FOLDER=images bash "$BATS_TEST_DIRNAME/../../bench/bench.sh" --quick
	[[ $status == 0 && -z $stderr ]] || complain "bench.sh --quick"
	rows=$(tail -n +4 <<<"$output")
	[[ $(wc -l <<<"$rows") -ge 12 ]] || complain "expected a row for each operation"
	malformed=$(grep -vE '^[a-z].*[a-z)](  *[0-9]+\.[0-9]+){5}$' <<<"$rows" || true)
	[[ -z $malformed ]] || complain "rows without five figures:" "$malformed"
	[[ -z $(ls images) ]] || complain "expected an empty folder"
}

@test "as Markdown it is one table" {
	mkdir images
	run --separate-stderr env BENCH_FOLDER=images bash "$BATS_TEST_DIRNAME/../../bench/bench.sh" --quick --markdown
	[[ $status == 0 && -z $stderr ]] || complain "bench.sh --quick --markdown"
	table=$(tail -n +3 <<<"$output")
	[[ $table == '| operation | ours, ms | QEMU, ms | QEMU/ours |'*$'\n| --- | ---: | ---: |'* ]] || complain "no table"
	malformed=$(tail -n +3 <<<"$table" | grep -vE '^\| [a-z][^|]*[a-z)]( \| [0-9]+\.[0-9]+){5} \|$' || true)
	[[ -z $malformed ]] || complain "rows without five figures:" "$malformed"
}

@test "the benchmark notices a command that fails" {
	mkdir images
	run --separate-stderr env BENCH_FOLDER=images QCOWTOOL=/bin/false BENCH_PROGRAMS="$(dirname "$QCOWTOOL")/../tests" \
		bash "$BATS_TEST_DIRNAME/../../bench/bench.sh" --quick
	[[ $status == 1 && $stderr == "measure: /bin/false: did not end with 0" ]] ||
		complain "expected measure's complaint"
	[[ -z $(ls images) ]] || complain "expected an empty folder"
}
