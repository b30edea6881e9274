#!/bin/bash
# same_on_any_ranks.sh PROGRAM MPIEXEC...: the same lines, checksums of all bits included, from 1, 2, 3, 4 and 6 ranks,
# also where the grid does not divide; and values within what the equations allow.
set -u
program=$1
shift
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
for name in $(compgen -e | grep -E '^(PMI_|PMIX_|PALS_|SLURM_|OMPI_COMM_|HYDI_|MPI_LOCALN)'); do unset "$name"; done

run() { # RANKS OPTION...
  local ranks=$1
  shift
  timeout -k 5 60 "$launcher" "${launcher_options[@]}" -n "$ranks" "$program" "$@" | tr -d '\r'
  return "${PIPESTATUS[0]}"
}
launcher=$1
launcher_options=("${@:2}")

fail() {
  echo "same_on_any_ranks: $*"
  exit 1
}

for shape in 96x64 61x37 5x3; do
  alone=$(run 1 --shape $shape --steps 60 --every 20) || fail "$shape on 1 rank failed: $alone"
  [ "$(grep -c '^step ' <<<"$alone")" -eq 3 ] || fail "$shape: 3 published steps were wanted: $alone"
  for ranks in 2 3 4 6; do
    shared=$(run $ranks --shape $shape --steps 60 --every 20) || fail "$shape on $ranks ranks failed: $shared"
    # The checksum is exact; means are sums in another order, so their last printed digit may differ.
    [ "$(awk '{print $2, $4, $10, $12}' <<<"$alone")" = "$(awk '{print $2, $4, $10, $12}' <<<"$shared")" ] ||
      fail "$shape differs between 1 and $ranks ranks: $alone / $shared"
  done
done
[ "$(run 2 --shape 61x37 --steps 20 --every 20 --seed 2)" != "$(run 2 --shape 61x37 --steps 20 --every 20 --seed 3)" ] ||
  fail "two seeds give the same field"

pattern=$(run 2 --shape 128x128 --steps 400 --every 400) || fail "128x128 failed: $pattern"
# The pattern must have grown out of the square, and stay within the bounds of a concentration.
awk '{ ok = $6 > 0.5 && $6 < 1 && $8 > 0.001 && $8 < 0.5 && $10 >= 0 && $12 > 0.1 && $12 < 1; exit !ok }' <<<"$pattern" ||
  fail "values out of range: $pattern"
run 1 --shape 1x >/dev/null 2>&1 && fail "a bad shape was accepted"
run 4 --shape 1x1 >/dev/null 2>&1 && fail "a grid smaller than its ranks was accepted"
echo "same_on_any_ranks: ok"
