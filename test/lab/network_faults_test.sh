#!/bin/bash
# network_faults_test.sh FOLDER_OF_TEST_PROGRAMS: a server on one host, a producer and a consumer on another; the link is
# cut and mended under load, then each direction alone is swallowed. Nothing acknowledged is lost, nothing comes twice.
# Exit 77: cannot run here (no root or no tools), and says why.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=${1:?give the folder with test_server and test_client}
[ "$(id -u)" = 0 ] || { echo "network_faults_test: needs root" && exit 77; }
for tool in ip nft tc; do
  command -v "$tool" >/dev/null || { echo "network_faults_test: needs $tool" && exit 77; }
done
folder=$(mktemp -d)
export LAB_DIR=$folder/lab
lab() { "$here/hosts.sh" "$@"; }
cleanup() {
  # Ends what runs on the hosts, too.
  lab down || true
  rm -rf --one-file-system "$folder"
}
trap cleanup EXIT
fail() {
  echo "network_faults_test: $*"
  for log in "$folder"/*.log; do
    echo "--- $log"
    tail -n 15 "$log"
  done
  exit 1
}

# Waits until the command succeeds: `until_true SECONDS WHAT COMMAND…`.
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS <= deadline)) || fail "$what did not happen in time"
    read -rt 0.1 <> <(:) || true
  done
}
last_of() { grep -o "^$2 [0-9]*" "$folder/$1.log" 2>/dev/null | tail -n 1 | cut -d' ' -f2 || true; }
acknowledged() { last_of producer acknowledged; }
more_than() { [ "$(acknowledged)" -gt "$1" ]; }

# Starts a program on a host with an input that ends when we close it (the launcher gives it none).
start_on() { # HOST NAME COMMAND...
  local host=$1 name=$2
  shift 2
  mkfifo "$folder/$name.input"
  # Without the others' inputs: they would never end.
  lab launch "$host" "exec $* <$folder/$name.input >>$folder/$name.log 2>&1" 7>&- 8>&- 9>&- &
  pids[$name]=$!
  # Open for both directions: opening does not wait, and the other end sees an end only when this is closed.
  case $name in
    server) exec 7<>"$folder/$name.input" ;;
    producer) exec 8<>"$folder/$name.input" ;;
    consumer) exec 9<>"$folder/$name.input" ;;
  esac
}
declare -A pids

lab up 2
export WEFTLINE_TRANSPORTS=tcp
WEFTLINE_BIND=$(lab address h1) start_on h1 server "$programs/test_server" "$folder/data" t 2 0 1
until_true 30 "the server's start" test -s "$folder/data/group/slot-0"
export WEFTLINE_BIND
WEFTLINE_BIND=$(lab address h2)
start_on h2 producer "$programs/test_client" produce "$folder/data/group" t tcp 1
start_on h2 consumer "$programs/test_client" consume "$folder/data/group" t tcp 0
until_true 30 "the first acknowledgement" grep -q "^acknowledged" "$folder/producer.log"
until_true 30 "the first reading" grep -q "^read" "$folder/consumer.log"

# A short cut, which TCP itself survives; then one that outlasts the peer timeout (10 s), which our reconnection mends.
for seconds in 3 14; do
  lab cut h2 down
  before=$(acknowledged)
  end=$((SECONDS + seconds))
  while ((SECONDS < end)); do read -rt 0.2 <> <(:) || true; done
  lab cut h2 up
  until_true 60 "going on after a cut of $seconds s" more_than $((before + 200))
done
# One direction only: first what comes to the clients is swallowed, then what comes to the server.
for host in h2 h1; do
  lab cut "$host" blackhole
  before=$(acknowledged)
  end=$((SECONDS + 13))
  while ((SECONDS < end)); do read -rt 0.2 <> <(:) || true; done
  lab cut "$host" clear
  until_true 60 "going on after $host was deaf" more_than $((before + 200))
done

exec 8>&-
wait "${pids[producer]}" || fail "the producer failed"
exec 9>&-
wait "${pids[consumer]}" || fail "the consumer failed"
total=$(last_of consumer total)
((total >= $(acknowledged))) || fail "$(acknowledged) events were acknowledged, $total were read"
exec 7>&-
wait "${pids[server]}" || fail "the server failed"
echo "network_faults_test: $(acknowledged) events acknowledged, $total read, none lost or doubled"
