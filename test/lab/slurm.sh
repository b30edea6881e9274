#!/bin/bash
# slurm.sh: a Slurm of several "nodes" on one machine, without systemd: a munged, a slurmctld, and a slurmd for each node.
# State is in $LAB_DIR (one folder per lab), ports are ones that nobody listens on, so that labs can live side by side.
#   slurm.sh up [N] [--hosts]  starts nodes n1..nN (2) with 8 tasks each; again: does nothing. With --hosts each node is a
#                      host of test/lab/hosts.sh: network, name, /dev/shm and folder of PMIx are its own, as on a real machine;
#                      else all nodes share this machine's
#   slurm.sh run CMD…  runs sbatch, srun, sinfo, … of this lab
#   slurm.sh down      ends its jobs and daemons, by their ids, and removes everything; again: does nothing
# Needs root, slurm-wlm and munge; --hosts iproute2 and nftables too. An interrupted `up` ends what it started.
set -euo pipefail
: "${LAB_DIR:?set LAB_DIR to a folder for the state of this lab}"
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$LAB_DIR/slurm
export SLURM_CONF=$here/slurm.conf
tasks=8 # of a node, whatever cores there are

die() {
  echo "slurm.sh: $*" >&2
  exit 1
}

[[ "$LAB_DIR" == /* ]] || die "LAB_DIR is '$LAB_DIR'; give the whole path"

with_hosts() { [ -e "$here/hosts/state" ]; }
hosts() { LAB_DIR=$here/hosts "$scripts/hosts.sh" "$@"; }

# inside h1|ctl CMD…: in the network of that host; where the nodes are no hosts, as it is. Not by `hosts.sh launch`, which
# has another /sys, where slurmd finds no cgroups.
inside() {
  find_network "$1"
  "${network[@]}" "${@:2}"
}
find_network() {
  local id
  network=()
  with_hosts || return 0
  read -r id _ <"$here/hosts/state"
  network=(nsenter "--net=/run/netns/wl-$id-$1")
}

# The first of $1 ports in a row that nobody listens on.
free_ports() {
  local first port
  for _ in $(seq 1 50); do
    first=$(shuf -i 20000-31000 -n 1)
    for port in $(seq "$first" $((first + $1 - 1))); do
      if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
    done
    echo "$first"
    return
  done
  die "no $1 free ports in a row"
}

configuration() {
  local count=$1 port i control=127.0.0.1 address=127.0.0.1
  port=$(free_ports $((count + 1)))
  if with_hosts; then control=$(hosts address ctl); fi
  cat <<CONF
ClusterName=lab
SlurmctldHost=$(hostname -s)($control)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$here/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool.%n
SlurmctldPidFile=$here/pids/slurmctld
SlurmdPidFile=$here/pids/slurmd.%n
SlurmctldLogFile=$here/log/slurmctld
SlurmdLogFile=$here/log/slurmd.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=100000,bf_interval=2
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=5
PropagateResourceLimits=NONE
SwitchType=switch/none
CONF
  for i in $(seq 1 "$count"); do
    if with_hosts; then address=$(hosts address "h$i"); fi
    echo "NodeName=n$i NodeHostname=n$i NodeAddr=$address Port=$((port + i)) CPUs=$tasks State=UNKNOWN"
  done
  echo "PartitionName=main Nodes=n[1-$count] Default=YES MaxTime=INFINITE State=UP"
}

start_node() {
  local name=n$1 command
  mkdir -p "$here/spool.$name"
  command=(slurmd -N "$name" -f "$SLURM_CONF")
  if with_hosts; then
    mkdir "$here/pmix.$name"
    # shellcheck disable=SC2016 # expanded inside
    command=(unshare -u -m -i bash -c
      'hostname "$1" && mount --bind "$2" /dev/shm && mount --bind "$4" "$3" || exit 125; shift 4; exec "$@"'
      node "$name" "$here/hosts/h$1/shm" "$here/pmix" "$here/pmix.$name" "${command[@]}")
  fi
  inside "h$1" "${command[@]}"
}

up() {
  local wanted=${1:-2} i
  if ! [[ "$wanted" =~ ^[0-9]+$ ]] || ((wanted < 1 || wanted > 50)); then
    die "give a number of nodes from 1 to 50, not '$wanted'"
  fi
  [ ! -e "$here/up" ] || return 0
  mkdir -p "$here"/{state,log,pids}
  trap 'trap - EXIT; down' EXIT
  trap 'exit 130' INT TERM
  head -c 1024 /dev/urandom >"$here/munge.key"
  chmod 400 "$here/munge.key"
  # --force: its folder may be one that only root can enter, as all who use it are root
  munged --force --num-threads=2 --key-file="$here/munge.key" --socket="$here/munge.socket" \
    --log-file="$here/log/munged" --pid-file="$here/pids/munged" --seed-file="$here/munge.seed" 2>"$here/log/munged.words"
  if [ "${2:-}" = --hosts ]; then
    hosts up "$wanted"
    mkdir "$here/pmix"
    echo "PMIxCliTmpDirBase=$here/pmix" >"$here/mpi.conf"
  fi
  configuration "$wanted" >"$SLURM_CONF"
  inside ctl slurmctld -c -f "$SLURM_CONF"
  for i in $(seq 1 "$wanted"); do start_node "$i"; done
  for _ in $(seq 1 300); do
    if [ "$(inside ctl sinfo --noheader --Node --format=%T 2>/dev/null | grep -c '^idle$')" = "$wanted" ]; then
      touch "$here/up"
      trap - EXIT INT TERM
      return
    fi
    sleep 0.1
  done
  tail -n 3 "$here"/log/* >&2
  die "the nodes are not idle after 30 s"
}

insist() {
  for _ in $(seq 1 100); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
}

# Daemons of job steps, which Slurm keeps no file of: those that write into this lab's logs. One whose launch had failed
# outlived its slurmd.
step_daemons() {
  local process
  for process in $(pgrep -x slurmstepd || true); do
    if readlink "/proc/$process"/fd/* 2>/dev/null | grep -qF "$here/log/"; then echo "$process"; fi
  done
}

down() {
  [ -d "$here" ] || return 0
  if [ -e "$here/up" ]; then
    inside ctl timeout 10 scancel --user=root --signal=KILL 2>/dev/null || true
    for _ in $(seq 1 50); do
      [ -n "$(inside ctl timeout 10 squeue --noheader 2>/dev/null)" ] || break
      sleep 0.1
    done
  fi
  # All are asked at once, for each takes seconds; then insisted on
  local pids pid
  pids="$(cat "$here"/pids/* 2>/dev/null || true) $(step_daemons)"
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do insist "$pid"; done
  if with_hosts; then hosts down; fi
  rm -rf --one-file-system "$here"
}

case ${1:-} in
  up) up "${@:2}" ;;
  run)
    [ -e "$here/up" ] || die "no lab in $LAB_DIR; run slurm.sh up first"
    find_network ctl
    exec "${network[@]}" "${@:2}"
    ;;
  down) down ;;
  *)
    sed -n '4,8s/^# *//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
