#!/bin/bash
# benchmark-sweep.sh NODES… | --gather: the benchmark on so many of this job's nodes, one run after the other; each leaves
# $RESULTS/NODES/result.json. --gather makes one table of all that there are, $RESULTS/table.csv, and prints it.
# Sourced job.sh first.
set -euo pipefail
: "${RESULTS:?set RESULTS to a folder on the shared file system}"
sweep=$WEFTLINE_HOME/build/ts/bench/sweep.js
if [ "${1:-}" = --gather ]; then exec node "$sweep" gather "$RESULTS"; fi
for nodes in "$@"; do
  export BENCHMARK=$RESULTS/$nodes
  mkdir -p "$BENCHMARK"
  node "$sweep" plan "$nodes" "$BENCHMARK"
  weftline launch --plan "$WEFTLINE_HOME/launch/plans/benchmark.yaml" --first-nodes "$nodes"
done
