#!/bin/sh
# Fuzzes what is read from outside: fuzz/run.sh SECONDS TARGET... (60 seconds for each target, and
# all of them, if not given; with 0 seconds they are only built). The targets: request and stream, both directions of the translation;
# sse, the framing of events; auth, the file of the login.
#
# With a nightly toolchain cargo-fuzz does it, guided by coverage; without one, the same targets
# run over seeds that are changed at random. Fails on a finding, which is kept in fuzz/artifacts.
set -eu
seconds=${1:-60}
[ $# -eq 0 ] || shift
targets=${*:-request stream sse auth}
cd "$(dirname "$0")"

if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
    cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
    for target in $targets; do
        mkdir -p "corpus/$target"
        log=$(mktemp)
        # No sanitizer: the crate has no unsafe code.
        options="--sanitizer none --features libfuzzer"
        if ! cargo +nightly fuzz build $options "$target" >"$log" 2>&1; then
            cat "$log"
            rm -f "$log"
            exit 1
        fi
        if [ "$seconds" = 0 ]; then
            rm -f "$log"
            continue
        fi
        if ! cargo +nightly fuzz run $options "$target" \
            "corpus/$target" "seeds/$target" \
            -- -max_total_time="$seconds" -max_len=16384 -timeout=10 -print_final_stats=1 \
            >"$log" 2>&1; then
            tail -n 60 "$log"
            rm -f "$log"
            echo "$target: a finding" >&2
            exit 1
        fi
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
        # Whatever ends a run before its time, it has not found that there is nothing to find.
        if [ -z "$runs" ]; then
            tail -n 60 "$log"
            rm -f "$log"
            echo "$target: ended early" >&2
            exit 1
        fi
        echo "$target: $runs runs, $rate per second"
        rm -f "$log"
    done
else
    cargo build --release --example mutate
    [ "$seconds" != 0 ] || exit 0
    for target in $targets; do
        target/release/examples/mutate "$target" "$seconds" "seeds/$target"
    done
fi
