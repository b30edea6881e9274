#!/bin/bash
# hosts_test.sh: two labs at once, names and /dev/shm of their own, a cut, mpiexec across two hosts, and nothing left.
# Exit 77: cannot run here (no root or no tools), and says why.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(id -u)" = 0 ] || { echo "hosts_test: needs root" && exit 77; }
for tool in ip nft tc mpiexec.mpich; do
  command -v "$tool" >/dev/null || { echo "hosts_test: needs $tool" && exit 77; }
done
folder=$(mktemp -d)
lab() { LAB_DIR=$folder/$1 "$here/hosts.sh" "${@:2}"; }
cleanup() {
  lab a down
  lab b down
  rm -rf --one-file-system "$folder"
}
trap cleanup EXIT
fail() {
  echo "hosts_test: $*"
  exit 1
}

lab a up 2
lab a up 2
lab b up 1
read -r id _ <"$folder/a/state"
[ -z "$(ip -4 addr show | grep -F "$(lab a address ctl)" || true)" ] || fail "this machine has an address of the lab"
[ "$(lab a launch h2 hostname)" = h2 ] || fail "h2 has another name"
# No ping is needed: a port that nobody listens on is refused by a host that is reached, and silent when it is cut.
reach() { # FROM TO
  local words
  words=$(lab a launch "$1" "timeout 2 bash -c 'echo >/dev/tcp/$2/9' 2>&1" || true)
  [[ "$words" == *refused* ]]
}
reach h1 h2 || fail "h1 does not reach h2"
if lab b launch h1 "timeout 2 bash -c 'echo >/dev/tcp/$(lab a address h2)/9' 2>&1" | grep -q refused; then
  fail "one lab reaches the other"
fi
lab a cut h2 blackhole
if reach h1 h2; then fail "a cut host answers"; fi
lab a cut h2 clear
reach h1 h2 || fail "h1 does not reach h2 again"

lab a launch h1 "echo here >/dev/shm/mark"
[ "$(lab a launch h1 cat /dev/shm/mark)" = here ] || fail "two launches on one host do not share /dev/shm"
if lab a launch h2 "test -e /dev/shm/mark"; then fail "two hosts share /dev/shm"; fi
[ ! -e /dev/shm/mark ] || fail "a host shares this machine's /dev/shm"

names=$(timeout 60 env LAB_DIR="$folder/a" "$here/hosts.sh" launch ctl mpiexec.mpich -launcher ssh -launcher-exec "$folder/a/launch" -localhost "$(lab a address ctl)" \
  -hosts "$(lab a address h1),$(lab a address h2)" -ppn 1 -n 2 hostname | sort | xargs) || true
[ "$names" = "h1 h2" ] || fail "mpiexec ran on '$names', not on 'h1 h2'"

lab a launch h1 "exec sleep 600" &
sleeper=$!
lab a down
lab a down
wait "$sleeper" && fail "the sleeper ended by itself"
[ -z "$(ip netns list | grep "wl-$id-" || true)" ] || fail "a namespace is left"
echo "hosts_test: ok"
