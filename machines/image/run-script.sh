#!/bin/sh
# Runs the script $CROFT_SCRIPT as root in the tree $1, whatever it is written in; one without a first line that says
# so is a shell script. Each line that it prints becomes one that begins with "S: " (create-image.ts).
set -eu
root=$1
echo "I: running the script..." >&2
install -m 755 "$CROFT_SCRIPT" "$root/.croft-script"
case $(head -c 2 "$CROFT_SCRIPT") in
'#!') set -- /.croft-script ;;
*) set -- /bin/sh -e /.croft-script ;;
esac
# mmdebstrap has mounted these in a complete system, and not in one that it has only unpacked.
own=
for directory in proc dev; do
  test -e "$root/$directory/self" || test -e "$root/$directory/null" || own="$own $directory"
done
for directory in $own; do
  mkdir -p "$root/$directory"
  mount --rbind "/$directory" "$root/$directory"
done
test -s "$root/etc/resolv.conf" || cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null || :
{
  status=0
  (
    cd /
    for name in $(env | sed -n 's/^\(CROFT_[A-Z_]*\|MMDEBSTRAP_[A-Z_]*\|APT_CONFIG\|TMPDIR\)=.*/\1/p'); do unset "$name"; done
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LC_ALL=C.UTF-8 \
      DEBIAN_FRONTEND=noninteractive exec chroot "$root" "$@" </dev/null
  ) || status=$?
  echo "$status" >"$CROFT_WORK/status"
} 2>&1 | sed -u 's/^/S: /' >&2
for directory in $own; do umount -l "$root/$directory"; done
rm -f "$root/.croft-script"
status=$(cat "$CROFT_WORK/status")
test "$status" = 0 || { echo "E: the script ended with status $status" >&2; exit 1; }
