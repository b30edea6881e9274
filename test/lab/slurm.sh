#!/bin/bash
# slurm.sh: a Slurm of several "nodes" on one machine, without systemd: a munged, a slurmctld, and a slurmd for each node.
# State is in $LAB_DIR (one folder per lab), ports are ones that nobody listens on, so that labs can live side by side.
#   slurm.sh up [N]    starts nodes n1..nN (2) with 8 tasks each; again: does nothing
#   slurm.sh run CMD…  runs sbatch, srun, sinfo, … of this lab
#   slurm.sh down      ends its jobs and daemons, by their ids, and removes everything; again: does nothing
# Needs root, slurm-wlm and munge. An interrupted `up` ends what it started.
set -euo pipefail
: "${LAB_DIR:?set LAB_DIR to a folder for the state of this lab}"
here=$LAB_DIR/slurm
export SLURM_CONF=$here/slurm.conf
tasks=8 # of a node, whatever cores there are

die() {
  echo "slurm.sh: $*" >&2
  exit 1
}

[[ "$LAB_DIR" == /* ]] || die "LAB_DIR is '$LAB_DIR'; give the whole path"

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
  local count=$1 port i
  port=$(free_ports $((count + 1)))
  cat <<CONF
ClusterName=lab
SlurmctldHost=$(hostname -s)(127.0.0.1)
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
    echo "NodeName=n$i NodeHostname=n$i NodeAddr=127.0.0.1 Port=$((port + i)) CPUs=$tasks State=UNKNOWN"
  done
  echo "PartitionName=main Nodes=n[1-$count] Default=YES MaxTime=INFINITE State=UP"
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
  configuration "$wanted" >"$SLURM_CONF"
  slurmctld -c -f "$SLURM_CONF"
  for i in $(seq 1 "$wanted"); do
    mkdir -p "$here/spool.n$i"
    slurmd -N "n$i" -f "$SLURM_CONF"
  done
  for _ in $(seq 1 300); do
    if [ "$(sinfo --noheader --Node --format=%T 2>/dev/null | grep -c '^idle$')" = "$wanted" ]; then
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

down() {
  [ -d "$here" ] || return 0
  if [ -e "$here/up" ]; then
    timeout 10 scancel --user=root --signal=KILL 2>/dev/null || true
    for _ in $(seq 1 50); do
      [ -n "$(timeout 10 squeue --noheader 2>/dev/null)" ] || break
      sleep 0.1
    done
  fi
  # All are asked at once, for each takes seconds; then insisted on
  local pids pid
  pids=$(cat "$here"/pids/* 2>/dev/null || true)
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do insist "$pid"; done
  rm -rf --one-file-system "$here"
}

case ${1:-} in
  up) up "${@:2}" ;;
  run) [ -e "$here/up" ] || die "no lab in $LAB_DIR; run slurm.sh up first" && exec "${@:2}" ;;
  down) down ;;
  *)
    sed -n '4,6s/^# *//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
