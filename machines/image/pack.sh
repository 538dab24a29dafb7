#!/bin/sh
# Runs as a hook of mmdebstrap, as (possibly mapped) root: makes of the tree in $1 the files that a machine is
# started from. Told by the environment (create-image.ts):
#   CROFT_OUTPUT   directory that gets kernel, initrd, disk.img and packages
#   CROFT_WORK     scratch directory, removed by the caller
#   CROFT_KIND     minimal or debian
#   CROFT_KERNELS  kernel packages, e.g. linux-image-cloud-amd64: the first that there is, or a newer one of its kind
#   CROFT_LISTER   package of a busybox that runs on this host, if that of the tree does not; or empty
#   CROFT_DISK     size of the disk in MiB
#   CROFT_INIT     the starter, becomes /sbin/croft-init
#   CROFT_INITRD   the script /init of the initrd
#   CROFT_SCRIPT   a script to be run in the tree by CROFT_RUN_SCRIPT, or empty
set -eu
if [ -n "$CROFT_SCRIPT" ] && [ "$CROFT_KIND" = debian ]; then sh "$CROFT_RUN_SCRIPT" "$1"; fi
# Seen through a bind mount, the tree is without what mmdebstrap has mounted in it (/proc, /sys, /dev/pts…); it
# vanishes with the mount namespace.
root=$CROFT_WORK/tree
mkdir -p "$root"
mount --bind "$1" "$root"
step() { echo "I: $1..." >&2; }

# The kernel's package is unpacked and not installed: installing would pull in initramfs-tools, udev and more, and
# spend half a minute on an initrd that nothing uses.
step "unpacking the kernel"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
mkdir -p "$CROFT_WORK/kernel"
package=
for kernel in $CROFT_KERNELS; do
  test -z "$package" || break
  apt-cache show "$kernel" >/dev/null 2>&1 || continue
  # Those above name the one with the files.
  package=$(apt-cache depends "$kernel" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
  package=${package:-$kernel}
  # A release may have newer kernels than the one that it installs (6.12 in bookworm's security updates, beside 6.1): they
  # have the driver that makes restored machines draw random numbers of their own.
  kind=${kernel#linux-image-}
  kind=${kind%%:*}
  newest=$(apt-cache pkgnames linux-image- | sed 's/:.*//' | grep -E "^linux-image-[0-9].*-$kind\$" | sort -V | tail -n 1)
  case $kernel in *:*) suffix=:${kernel##*:} ;; *) suffix= ;; esac
  test -z "$newest" || package=$newest$suffix
done
test -n "$package" || { echo "E: there is no kernel: none of $CROFT_KERNELS" >&2; exit 1; }
# Without the sandbox user, who may not write here.
fetch() { (cd "$CROFT_WORK" && apt-get -q -o APT::Sandbox::User=root download "$1" >&2); }
# From forky on its parts are packages of their own.
parts=$(apt-cache depends "$package" | sed -n 's/^ *Depends: \(linux-\(base\|binary\|modules\)-[0-9][^ ]*\)$/\1/p')
for part in "$package" $parts; do
  fetch "$part"
  dpkg-deb -x "$CROFT_WORK/${part%:*}"_*.deb "$CROFT_WORK/kernel"
done
tree=$CROFT_WORK/kernel
if [ ! -d "$tree/usr/lib/modules" ]; then
  mkdir -p "$tree/usr/lib" # it may have something else in it
  mv "$tree/lib/modules" "$tree/usr/lib/modules"
  rm -rf "${tree:?}/lib"
fi
test -e "$tree/lib" || ln -s usr/lib "$tree/lib"
release=$(ls "$tree/usr/lib/modules")
kernel=$(find "$tree/boot" "$tree/usr/lib/modules/$release" -maxdepth 1 -name 'vmlinu[xz]*' 2>/dev/null | head -n 1)
test -n "$kernel" || { echo "E: $package has no kernel that is known here" >&2; exit 1; }
mv "$kernel" "$CROFT_OUTPUT/kernel"
depmod -b "$tree" "$release"

# What the devices of a machine need, before the disk can be read and for all that croft-init relies on; a name that
# this kernel has built in, or has not, is passed over.
wanted="virtio_pci virtio_blk ext4 virtio_net virtio-rng virtio_console pvpanic-mmio pvpanic-pci
  qemu_fw_cfg vmgenid button evdev gpio-pl061 gpio_keys"
modules=$tree/usr/lib/modules/$release

# Prints the module's file and before it those it needs: modules.dep lists them nearest first.
with_needed() {
  sed -n "s,^\(.*/$1\.ko[.a-z]*\):\(.*\)$,\1\2,p" "$modules/modules.dep" | head -n 1 |
    awk '{ for (i = NF; i > 0; i--) print $i }'
}

step "making the initrd"
initrd=$CROFT_WORK/initrd
mkdir -p "$initrd/bin" "$initrd/modules" "$initrd/dev" "$initrd/proc" "$initrd/sys" "$initrd/root"
cp "$root/bin/busybox" "$initrd/bin/busybox"
cp "$CROFT_INITRD" "$initrd/init"
chmod 755 "$initrd/init" "$initrd/bin/busybox"
for name in $wanted; do with_needed "$name"; done | awk '!seen[$0]++' >"$CROFT_WORK/modules"
number=100
while read -r file; do
  number=$((number + 1)) # loaded in the order of their names
  target=$initrd/modules/$number-$(basename "${file%%.ko*}").ko
  case $file in
  *.xz) xz -dc "$modules/$file" >"$target" ;;
  *.zst) zstd -qdc "$modules/$file" >"$target" ;;
  *.gz) gzip -dc "$modules/$file" >"$target" ;;
  *) cp "$modules/$file" "$target" ;;
  esac
done <"$CROFT_WORK/modules"
find "$initrd" -exec touch -h -d @0 {} + # made of the same, it is the same
# Not compressed: unpacking costs an emulated processor more than reading.
(cd "$initrd" && find . | sort | cpio --quiet --reproducible -o -H newc -R 0:0) >"$CROFT_OUTPUT/initrd"

if [ "$CROFT_KIND" = minimal ]; then
  for directory in bin sbin dev etc proc sys run tmp root mnt usr/bin usr/sbin var/tmp var/log; do
    mkdir -p "$root/$directory"
  done
  chmod 1777 "$root/tmp" "$root/var/tmp"
  test -e "$root/lib" || ln -s usr/lib "$root/lib"
  lister=$root/bin/busybox
  if [ -n "$CROFT_LISTER" ]; then
    fetch "$CROFT_LISTER"
    dpkg-deb -x "$CROFT_WORK/${CROFT_LISTER%:*}"_*.deb "$CROFT_WORK/lister"
    lister=$(find "$CROFT_WORK/lister" -type f -path '*bin/busybox')
  fi
  applets=$("$lister" --list-full)
  for applet in $applets; do
    test -e "$root/$applet" || ln -s /bin/busybox "$root/$applet"
  done
  test -e "$root/etc/passwd" || echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  test -e "$root/etc/group" || echo 'root:x:0:' >"$root/etc/group"
  if [ -n "$CROFT_SCRIPT" ]; then sh "$CROFT_RUN_SCRIPT" "$root"; fi
fi

step "making the root file system"
{
  echo "$package"
  (cd "$root/var/cache/apt/archives" && find . -name '*.deb' | sort)
  sed -n 's/^Package: //p; s/^Version: //p' "$root/var/lib/dpkg/status" 2>/dev/null || :
} >"$CROFT_OUTPUT/packages"
find "$root/var/lib/apt/lists" "$root/var/cache/apt" -type f -delete
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" # the host's proxy is none of the machine's business
mkdir -p "$root/usr/lib/modules"
if [ "$CROFT_KIND" = minimal ]; then
  # Those of the initrd alone: all others would be a hundred times as much as the rest of the machine.
  mkdir -p "$root/usr/lib/modules/$release"
  (cd "$modules" && xargs cp --parents -t "$root/usr/lib/modules/$release" <"$CROFT_WORK/modules")
  for file in "$modules"/modules.builtin* "$modules"/modules.order; do
    test ! -e "$file" || cp "$file" "$root/usr/lib/modules/$release/"
  done
  depmod -b "$root" "$release"
else
  cp -a "$modules" "$root/usr/lib/modules/"
fi
install -D -m 755 "$CROFT_INIT" "$root/sbin/croft-init"
echo build >"$root/etc/hostname"
printf '127.0.0.1 localhost build\n::1 localhost\n' >"$root/etc/hosts"
rm -f "$root/etc/resolv.conf"
: >"$root/etc/resolv.conf"

# -d fills the file system without mounting it. -m 0: nothing is kept back for root. The small journal is enough,
# and keeps a machine usable that was not shut down properly while bootstrapping.
mkfs.ext4 -q -F -L croft -m 0 -J size=16 -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" \
  "$CROFT_OUTPUT/disk.img" "${CROFT_DISK}M"
