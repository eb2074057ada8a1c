#!/usr/bin/env bash
# Measures rusqlite (A: grouped, A2: one commit per accept) against sqlx (B: grouped, B2: grouped with one
# multi-row insert) and prints the medians as two tables. The variants alternate within each round, in an order
# that turns with the round, so that what else the machine does falls on all of them alike; a ratio is the median
# of the ratios to A in the same round, with the least and the greatest in parentheses.
#
# ROUNDS (5) and COUNT (40000 accepts a run) may be set; TMPDIR chooses the disk.
set -euo pipefail
cd "$(dirname "$0")"

rounds=${ROUNDS:-5}
count=${COUNT:-40000}
few=$((count / 5)) # for what flushes the disk for each accept

declare -A binary
for package in rusqlite sqlx; do
    cargo build --release --quiet --manifest-path "$package/Cargo.toml"
    target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$package/Cargo.toml" |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    binary[$package]=$target/release/store-access-$package
done
binary[A]=${binary[rusqlite]} binary[A2]=${binary[rusqlite]}
binary[B]=${binary[sqlx]} binary[B2]=${binary[sqlx]}

figures=$(mktemp)
trap 'rm -f "$figures"' EXIT

# measure ROUND TASKS READS VARIANT...
measure() {
    local round=$1 tasks=$2 reads=$3
    shift 3
    local variants=("$@") i variant accepts
    for ((i = 0; i < $#; i++)); do
        variant=${variants[(i + round) % $#]}
        accepts=$count
        if [[ $tasks == 1 || $variant == A2 ]]; then accepts=$few; fi
        printf '%s\t' "$round" >>"$figures"
        "${binary[$variant]}" "$variant" "$tasks" "$accepts" "$reads" >>"$figures"
    done
}

for ((round = 1; round <= rounds; round++)); do
    for tasks in 1 16 64 256; do
        measure "$round" "$tasks" 0 A A2 B B2
    done
    for tasks in 16 64 256; do
        measure "$round" "$tasks" 1 A B B2
    done
    echo "round $round of $rounds" >&2
done

awk -F '\t' -v rounds="$rounds" '
    # The columns: round, variant, tasks, reads, accepts/s, accept p50 and p99, CPU, group, read p50 and p99.
    { for (i = 5; i <= 11; i++) value[$4, $3, $2, $1, i] = $i }

    # Sorts list[1..rounds] and answers its median.
    function median(list,    i, j, x) {
        for (i = 2; i <= rounds; i++) {
            x = list[i]
            for (j = i - 1; j > 0 && list[j] > x; j--) list[j + 1] = list[j]
            list[j + 1] = x
        }
        i = int((rounds + 1) / 2)
        return rounds % 2 ? list[i] : (list[i] + list[i + 1]) / 2
    }
    function middle(reads, tasks, variant, column,    r, list) {
        for (r = 1; r <= rounds; r++) list[r] = value[reads, tasks, variant, r, column]
        return median(list)
    }
    function ratio(reads, tasks, variant, column,    r, list, m) {
        if (variant == "A") return "1"
        for (r = 1; r <= rounds; r++)
            list[r] = value[reads, tasks, variant, r, column] / value[reads, tasks, "A", r, column]
        m = median(list)
        return sprintf("%.2f (%.2f-%.2f)", m, list[1], list[rounds])
    }
    END {
        print "| tasks | variant | accepts/s | to A | p50 ms | p99 ms | CPU us/accept | to A | accepts/commit |"
        print "|--:|---|--:|--:|--:|--:|--:|--:|--:|"
        t = split("1 16 64 256", tasks, " ")
        v = split("A A2 B B2", variants, " ")
        for (i = 1; i <= t; i++) for (j = 1; j <= v; j++) {
            n = tasks[i]; x = variants[j]
            printf "| %d | %s | %.0f | %s | %.2f | %.2f | %.0f | %s | %.1f |\n", n, x, middle(0, n, x, 5),
                ratio(0, n, x, 5), middle(0, n, x, 6) / 1000, middle(0, n, x, 7) / 1000, middle(0, n, x, 8),
                ratio(0, n, x, 8), middle(0, n, x, 9)
        }
        print "\n| tasks | variant | read p50 us | to A | read p99 us | to A | accepts/s beside |"
        print "|--:|---|--:|--:|--:|--:|--:|"
        t = split("16 64 256", tasks, " ")
        v = split("A B B2", variants, " ")
        for (i = 1; i <= t; i++) for (j = 1; j <= v; j++) {
            n = tasks[i]; x = variants[j]
            printf "| %d | %s | %.0f | %s | %.0f | %s | %.0f |\n", n, x, middle(1, n, x, 10), ratio(1, n, x, 10),
                middle(1, n, x, 11), ratio(1, n, x, 11), middle(1, n, x, 5)
        }
    }
' "$figures"
