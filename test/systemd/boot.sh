#!/bin/sh
# Boots a systemd of its own: boot.sh DIRECTORY MACHINE ROOT [NSPAWN-OPTION…]
# With / as its root it runs on this host's own files, through an overlay whose changes lie in memory. It is started in a mount namespace
# and a cgroup of its own, so that nothing of it is left when the container ends, however that happens.
set -eu
directory=$1
machine=$2
base=$3
shift 3
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  if [ -w "$hierarchy/cgroup.procs" ]; then
    mkdir "$hierarchy/$machine"
    echo $$ >"$hierarchy/$machine/cgroup.procs"
  fi
done
if [ "$base" = / ]; then
  mount -t tmpfs -o mode=755,size=1G croft-test "$directory"
  mkdir "$directory/changes" "$directory/work" "$directory/root"
  mount -t overlay -o "lowerdir=/,upperdir=$directory/changes,workdir=$directory/work" croft-test "$directory/root"
  root=$directory/root
  # Only what the test enables is started, and nothing of this host's own configuration of services.
  rm -rf "$root/etc/systemd/system" "$root/etc/croft" "$root/var/lib/croft" "$root/build" "$root/opt/croft"
  mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/system.conf.d"
  # Agents are started often: from what the first one has compiled.
  printf '[Manager]\nDefaultEnvironment=NODE_COMPILE_CACHE=/run/croft/compiled\n' >"$root/etc/systemd/system.conf.d/test.conf"
  mkdir -p "$root/opt/croft" "$root/build"
  : >"$root/etc/fstab"
  : >"$root/etc/machine-id"
  set -- --private-network "$@"
else
  root=$base
  set -- --resolv-conf=copy-host "$@"
fi
exec systemd-nspawn --directory="$root" --boot --machine="$machine" --register=no --keep-unit \
  --capability=all --system-call-filter="@keyring bpf" --console=pipe --quiet "$@" systemd.unit=basic.target
