#!/bin/sh
# A hook of mmdebstrap: makes of the tree in $1 what the disk of a cloud image consists of, in $CROFT_OUTPUT: the root
# file system, and the two parts of GRUB that a BIOS starts.
set -eu
# Seen through a bind mount, the tree is without what mmdebstrap has mounted in it.
root=$CROFT_OUTPUT/tree
mkdir "$root"
mount --bind "$1" "$root"
grub="biosdisk part_msdos ext2 linux normal configfile search search_label serial echo"
# shellcheck disable=SC2086
chroot "$root" grub-mkimage -O i386-pc -o /boot/core.img -p "(hd0,msdos1)/boot/grub" $grub
mv "$root/boot/core.img" "$CROFT_OUTPUT/core.img"
cp "$root/usr/lib/grub/i386-pc/boot.img" "$CROFT_OUTPUT/boot.img"
kernel=$(cd "$root/boot" && ls vmlinuz-* | tail -n 1)
mkdir -p "$root/boot/grub"
cat > "$root/boot/grub/grub.cfg" << END
linux /boot/$kernel root=LABEL=cloudimg-rootfs ro console=ttyS0 no_timer_check
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
END
echo 'LABEL=cloudimg-rootfs / ext4 errors=remount-ro 0 1' > "$root/etc/fstab"
: > "$root/etc/machine-id"
echo localhost > "$root/etc/hostname"
find "$root/var/lib/apt/lists" "$root/var/cache/apt" -type f -delete
mkfs.ext4 -q -F -L cloudimg-rootfs -d "$root" "$CROFT_OUTPUT/root.img" 1536M
