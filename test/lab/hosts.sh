#!/bin/bash
# hosts.sh: several "hosts" on one machine, each in its own network namespace, with its own host name and /dev/shm.
# State is in $LAB_DIR (one folder per lab); all names carry an id of the run, so that labs can live side by side. The
# bridge has a namespace of its own, ctl, too: one in this machine's was taken for a network by other programs.
#   hosts.sh up [N]            makes hosts h1..hN (2) on a bridge of their own; again: does nothing
#   hosts.sh launch HOST CMD…  runs CMD there as ssh would; $LAB_DIR/launch is the same as one program (mpiexec's
#                              -launcher ssh -launcher-exec). HOST ctl: where mpiexec reaches all hosts
#   hosts.sh address HOST|ctl  prints its address
#   hosts.sh cut HOST down|up|blackhole|loss PERMILLE|rate RATE|clear
#   hosts.sh down              ends what runs inside, removes everything; again: does nothing
# Needs root, iproute2 and nftables. An interrupted `up` removes what it made.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LAB_DIR:?set LAB_DIR to a folder for the state of this lab}"
net=10.77.0 # of every lab: they do not see each other

die() {
  echo "hosts.sh: $*" >&2
  exit 1
}
usage() {
  sed -n '5,12s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# Sets id and count from the state.
read_state() {
  [ -f "$LAB_DIR/state" ] || return 1
  read -r id count <"$LAB_DIR/state"
}
need_state() { read_state || die "no lab in $LAB_DIR; run hosts.sh up first"; }
namespace() { echo "wl-$id-$1"; }
need_host() {
  need_state
  index=${1#h}
  if ! [[ "$1" =~ ^h[0-9]+$ ]] || ((index < 1 || index > count)); then die "no host $1; there are h1 to h$count"; fi
}

make_host() {
  local i=$1 ns ctl
  ns=$(namespace "h$i") ctl=$(namespace ctl)
  ip netns add "$ns"
  ip -n "$ctl" link add "v$i" type veth peer name eth0 netns "$ns"
  ip -n "$ctl" link set "v$i" master hosts up
  ip -n "$ns" addr add "$net.$i/24" dev eth0
  ip -n "$ns" link set eth0 up
  ip -n "$ns" link set lo up
  mkdir -p "/etc/netns/$ns" "$LAB_DIR/h$i/shm"
  mount -t tmpfs "wl$id" "$LAB_DIR/h$i/shm"
  {
    echo "127.0.0.1 localhost"
    echo "$net.254 ctl"
    for j in $(seq 1 "$count"); do echo "$net.$j h$j"; done
  } >"/etc/netns/$ns/hosts"
}

up() {
  local wanted=${1:-2} i
  if ! [[ "$wanted" =~ ^[0-9]+$ ]] || ((wanted < 1 || wanted > 200)); then
    die "give a number of hosts from 1 to 200, not '$wanted'"
  fi
  if read_state; then
    ((count == wanted)) || die "$LAB_DIR has a lab of $count hosts; run hosts.sh down first"
    return
  fi
  mkdir -p "$LAB_DIR"
  LAB_DIR=$(cd "$LAB_DIR" && pwd)
  trap 'trap - EXIT; down' EXIT
  trap 'exit 130' INT TERM
  id=$(od -An -N3 -tx1 /dev/urandom | tr -d ' \n')
  count=$wanted
  echo "$id $count" >"$LAB_DIR/state"
  local ctl
  ctl=$(namespace ctl)
  ip netns add "$ctl"
  ip -n "$ctl" link set lo up
  ip -n "$ctl" link add hosts type bridge
  ip -n "$ctl" addr add "$net.254/24" dev hosts
  ip -n "$ctl" link set hosts up
  for i in $(seq 1 "$count"); do make_host "$i"; done
  printf '#!/bin/bash\nexport LAB_DIR=%q\nexec %q launch "$@"\n' "$LAB_DIR" "$here/hosts.sh" >"$LAB_DIR/launch"
  chmod +x "$LAB_DIR/launch"
  trap - EXIT INT TERM
}

launch() {
  while [[ "${1:-}" == -* ]]; do shift; done # ssh's own options
  (($# >= 2)) || usage
  local host=$1
  shift
  need_state
  if [ "$host" = ctl ]; then exec ip netns exec "$(namespace ctl)" "$@" </dev/null; fi
  # hydra resolves its hosts on this side, so it is given addresses.
  if [[ "$host" == "$net".* ]]; then host=h${host##*.}; fi
  need_host "$host"
  # shellcheck disable=SC2016 # expanded inside
  exec ip netns exec "$(namespace "$host")" unshare -u -m -i bash -c \
    'hostname "$1" && mount --bind "$2" /dev/shm || exit 125; shift 2; exec bash -c "$*"' \
    launch "$host" "$LAB_DIR/$host/shm" "$@" </dev/null
}

cut() {
  (($# >= 2)) || usage
  need_host "$1"
  local ns ctl
  ns=$(namespace "$1") ctl=$(namespace ctl)
  nft_in() { ip netns exec "$ns" nft "$@"; }
  case $2 in
    down | up) ip -n "$ctl" link set "v$index" "$2" ;;
    blackhole)
      nft_in add table inet cut
      nft_in 'add chain inet cut in { type filter hook input priority 0; policy drop; }'
      nft_in add rule inet cut in iifname lo accept
      ;;
    loss)
      nft_in add table inet cut
      nft_in 'add chain inet cut in { type filter hook input priority 0; }'
      nft_in add rule inet cut in iifname eth0 numgen random mod 1000 '<' "${3:?permille}" drop
      ;;
    rate) ip netns exec "$ns" tc qdisc replace dev eth0 root tbf rate "${3:?rate}" burst 256kb latency 20ms ;;
    clear)
      ip -n "$ctl" link set "v$index" up
      nft_in delete table inet cut 2>/dev/null || true
      ip netns exec "$ns" tc qdisc del dev eth0 root 2>/dev/null || true
      ;;
    *) usage ;;
  esac
}

# Ends only what lives in the namespace: asks first, then insists.
end_processes() {
  local ns=$1 signal pids
  for signal in TERM KILL; do
    for _ in $(seq 1 40); do
      pids=$(ip netns pids "$ns" 2>/dev/null) || return 0
      [ -n "$pids" ] || return 0
      # shellcheck disable=SC2086 # one word each
      kill -"$signal" $pids 2>/dev/null || true
      sleep 0.05
    done
  done
  die "processes in $ns do not end: $pids"
}

down() {
  read_state || return 0
  local i host ns
  for host in ctl $(seq -f 'h%g' 1 "$count"); do
    ns=$(namespace "$host")
    if ip netns list | grep -qw -- "$ns"; then
      end_processes "$ns"
      ip netns del "$ns"
    fi
    rm -rf "/etc/netns/$ns"
  done
  for i in $(seq 1 "$count"); do
    if mountpoint -q "$LAB_DIR/h$i/shm"; then umount "$LAB_DIR/h$i/shm"; fi
    rm -rf --one-file-system "${LAB_DIR:?}/h$i"
  done
  rm -f "$LAB_DIR/launch" "$LAB_DIR/state"
}

command=${1:-}
shift || usage
case $command in
  up | launch | cut | down) "$command" "$@" ;;
  address)
    need_state
    if [ "${1:-}" = ctl ]; then
      echo "$net.254"
    else
      need_host "${1:-}"
      echo "$net.$index"
    fi
    ;;
  *) usage ;;
esac
