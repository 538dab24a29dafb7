#!/bin/sh
# The first process of an image whose cloud-init is played: it takes the parts of the seed on the second disk, and runs those
# that are croft's. systemd is played, too: what it is told is noted. The kernel's parameter `played=` says what goes wrong.
exec < /dev/console > /dev/console 2>&1
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/systemd/system /etc/systemd/system /etc/cloud /var/log
case $(cat /proc/cmdline) in
  *played=off*) busybox poweroff -f ;;
  *played=nothing*) while :; do sleep 1; done ;;
  *played=failing*) echo 'util.py[WARNING]: Failed running /var/lib/cloud/scripts/operator [1]' > /var/log/cloud-init.log ;;
esac
cat > /bin/systemctl << 'END'
#!/bin/sh
echo "$*" >> /etc/told-to-systemd
[ "$1" != poweroff ] || busybox poweroff -f
END
chmod 755 /bin/systemctl
tr -d '\000' < /dev/vdb | awk '
  /^--croft-/ { file = "" }
  file != "" && $0 != "" { print > file }
  /filename=/ { split($0, quoted, "\""); file = "/tmp/" quoted[2] }'
for part in aa-croft-begun operator zz-croft-ready; do
  [ ! -e "/tmp/$part" ] || base64 -d "/tmp/$part" > "/tmp/$part.sh"
done
echo "begun by $(sed -n 1p /tmp/aa-croft-begun.sh)"
sh /tmp/aa-croft-begun.sh
sh /tmp/zz-croft-ready.sh
