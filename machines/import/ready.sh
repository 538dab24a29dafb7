#!/bin/sh
# The last of cloud-init's scripts in an image that is imported, run once, as root: makes it a build machine, says how that
# went, and powers it off. @...@ is filled in by seed.ts. Needs a POSIX shell and systemd.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
user_data=@user-data@
role=@role@

modprobe -q -a virtio_console qemu_fw_cfg 2> /dev/null
port=/dev/console
for directory in /sys/class/virtio-ports/*; do
  [ "$(cat "$directory/name" 2> /dev/null)" != org.croft.log ] || port=/dev/${directory##*/}
done
say() { printf '@saying@ %s\n' "$*" > "$port"; }
end() {
  say "$@"
  sync
  systemctl poweroff --no-block || poweroff -f
  exit 0
}
refuse() { end "failed $*"; }
has() { command -v "$1" > /dev/null 2>&1; }

say "step cloud-init has run; looking at what is there"
[ -d /run/systemd/system ] || refuse "its first process is not systemd"
[ "$port" != /dev/console ] || refuse "its kernel has no virtio-serial (virtio_console)"
[ -r /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw ] ||
  refuse "its kernel has no qemu_fw_cfg, by which a machine learns where its agent is"
# What fails of the user data is a warning to cloud-init, which goes on. What an image has its modules do by itself may fail as well,
# and is no fault of the user data. $1: cloud-init's log
failure_in() {
  grep -h -i -e 'Failed running ' -e 'Failed to run module' -e 'Running module .* failed' \
    -e 'Failed loading yaml' -e 'unhandled' "$1" 2> /dev/null | grep -v -E '@passed-over@' | head -n 1 | cut -c 1-300
}
if [ "$user_data" = yes ]; then
  wrong=$(failure_in /var/log/cloud-init.log)
  [ -z "$wrong" ] || refuse "the user data failed: $wrong: $(tail -n 3 /var/log/cloud-init-output.log | tr '\n' ' ' | cut -c 1-300)"
fi

[ "$role" != auxiliary ] || [ -x /etc/croft/auxiliary ] ||
  refuse "it has no program /etc/croft/auxiliary, which an auxiliary machine starts its services by: the user data is to put it there"

# The tools that croft-init and croft-worker take from busybox where there are no others.
lacking() {
  has busybox || for tool in awk grep ip modprobe sed tail tr; do has "$tool" || echo "$tool"; done
  busybox tftp --help > /dev/null 2>&1 || has atftp || has tftp || curl --version 2> /dev/null | grep -q -w tftp ||
    echo a TFTP client
}
install_packages() {
  if has apt-get; then apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install busybox
  elif has dnf; then dnf -q -y install tftp
  elif has zypper; then zypper -q -n install tftp
  elif has pacman; then pacman -Sy --noconfirm busybox
  else return 1; fi
}
if [ -n "$(lacking)" ]; then
  say "step installing what it lacks: $(lacking | tr '\n' ' ')"
  install_packages > /run/croft-packages 2>&1
  [ -z "$(lacking)" ] ||
    refuse "it lacks $(lacking | tr '\n' ' ')and it cannot be installed: $(tail -n 2 /run/croft-packages | tr '\n' ' ' | cut -c 1-300)"
fi

say "step installing croft-init"
cat > /usr/sbin/croft-init @croft-init@
chmod 755 /usr/sbin/croft-init
cat > /etc/systemd/system/croft-init.service << 'END'
[Unit]
Description=Bootstraps this build machine, or performs its task
After=network.target

[Service]
ExecStartPre=-/bin/sh -c 'modprobe -q -a virtio_console virtio_rng qemu_fw_cfg vmgenid pvpanic_pci; exit 0'
ExecStart=/usr/sbin/croft-init
StandardOutput=journal+console
StandardError=journal+console
# A build may use all there is, and die of it, without its worker being ended for that.
TasksMax=infinity
LimitNOFILE=524288
OOMPolicy=continue
Delegate=yes
TimeoutStopSec=10

[Install]
WantedBy=multi-user.target
END
has restorecon && restorecon /usr/sbin/croft-init /etc/systemd/system/croft-init.service

# What cloud-init has made of the network holds for this boot's MAC address. Any other one gets its address by DHCP, and
# asks in its own name: copies of a machine have the same machine-id.
say "step connecting it, whatever its MAC address"
rm -f /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init* /run/systemd/network/10-netplan-* \
  /etc/systemd/network/10-cloud-init-* /etc/systemd/network/50-cloud-init* \
  /etc/NetworkManager/system-connections/cloud-init-* /etc/sysconfig/network-scripts/ifcfg-e*
if systemctl -q is-enabled NetworkManager 2> /dev/null; then
  : # it takes an address for each interface by itself
elif systemctl cat systemd-networkd > /dev/null 2>&1 && systemctl cat systemd-resolved > /dev/null 2>&1; then
  mkdir -p /etc/systemd/network
  printf '[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n\n[DHCPv4]\nClientIdentifier=mac\n' \
    > /etc/systemd/network/05-croft.network
  systemctl -q enable systemd-networkd systemd-resolved
  systemctl -q disable systemd-networkd-wait-online 2> /dev/null
fi # else croft-init does it

say "step switching off what would disturb builds"
touch /etc/cloud/cloud-init.disabled
for unit in apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service man-db.timer dnf-makecache.timer \
  dnf-automatic.timer packagekit.service snapd.service snapd.socket fstrim.timer; do
  systemctl -q disable "$unit" 2> /dev/null
done
systemctl -q enable croft-init.service || refuse "systemd does not take croft-init.service"
end ready
