#!/bin/busybox sh
# shellcheck shell=dash
# /init of the initrd: loads what the machine's devices need, mounts the disk, and hands over to croft-init with
# /dev, /proc and /sys mounted. Whatever fails ends in a kernel panic, which the agent sees at once.
PATH=/bin
for applet in cat mount insmod linux32 sleep switch_root sed; do busybox ln -s busybox "/bin/$applet"; done
mount -t devtmpfs -o mode=0755 dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*.ko; do insmod "$module"; done

parameter() { sed -n "s/^\(.* \)\{0,1\}$1=\([^ ]*\).*$/\2/p" /proc/cmdline; }
device=$(parameter root)
init=$(parameter init)
device=${device:-/dev/vda}
tries=0
until [ -b "$device" ]; do
  tries=$((tries + 1))
  [ "$tries" -le 50 ] || { echo "croft: no disk $device"; exit 1; }
  sleep 0.1
done
# noinit_itable: a machine that lives for minutes need not tidy up its disk.
mount -t ext4 -o noatime,noinit_itable "$device" /root || { echo "croft: cannot mount $device"; exit 1; }
# The kernel of amd64 in a machine of i386: what is 32 bits wide is told that the kernel is, too.
case " $(cat /proc/cmdline) " in *" croft.linux32 "*) personality=linux32 ;; esac
for directory in dev proc sys; do mount -o move "/$directory" "/root/$directory"; done
# As without an initrd: what the kernel does not know, and what follows "--", are arguments of the first process.
# shellcheck disable=SC2086
exec ${personality:-} switch_root /root "${init:-/sbin/croft-init}" "$@"
