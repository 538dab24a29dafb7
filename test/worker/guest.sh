#!/bin/sh
# Runs the worker as a machine would: in a root file system of its own that is thrown away, in namespaces of its own
# (the caller has made them). Bootstraps, then performs a task.
#   guest.sh SHELL DIRECTORY DISK_MIB BUSYBOX
# SHELL     dash or bash: this host's programs behind an overlay, with that shell as /bin/sh;
#           busybox: nothing but the static busybox
# DIRECTORY has "files" (copied over the root file system) and "setup" (run in it first)
# BUSYBOX   a static one, which enters the root file system too
set -eu
shell=$1 given=$2 disk_mib=$3 busybox=$4
mkdir "$given/disk"
mount -t tmpfs -o "size=${disk_mib}m,mode=755" guest "$given/disk"
root=$given/disk/root
mkdir "$root"
if [ "$shell" = busybox ]; then
  for directory in bin dev proc root sys tmp run var/lib etc; do mkdir -p "$root/$directory"; done
  cp "$busybox" "$root/bin/busybox"
  "$busybox" chroot "$root" /bin/busybox --install -s /bin
else
  mkdir "$given/disk/upper" "$given/disk/work"
  mount -t overlay -o "lowerdir=/,upperdir=$given/disk/upper,workdir=$given/disk/work" guest "$root"
  ln -sf "$shell" "$root/bin/sh"
  # A host where croft is installed shows the guest nothing of it; the overlay keeps the host's own files.
  for directory in etc var/lib run usr/lib; do rm -rf "$root/$directory/croft"; done
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
cp -a "$given/files/." "$root/"
inside() { env -i ${CROFT_TEST_RUN:+"CROFT_TEST_RUN=$CROFT_TEST_RUN"} "CROFT_TFTP=$CROFT_TFTP" \
  PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$busybox" chroot "$root" "$@"; }
inside /bin/sh < "$given/setup"
inside /worker bootstrap
# The namespace numbers its processes one after the other.
read -r _ _ _ _ before < /proc/loadavg
inside /usr/lib/croft/croft-worker task
read -r _ _ _ _ after < /proc/loadavg
echo $((after - before)) > "$given/processes"
