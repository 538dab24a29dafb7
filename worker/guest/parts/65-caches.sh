# --- Caches ---------------------------------------------------------------------------------------------------

# Disks whose serial numbers begin with croft- hold what earlier builds of this repository have left for the next ones (docs:
# machines). What is written there is this build's, unless the agent keeps it, which it does with what was unmounted.
caches=/var/cache/croft

# Mounts them, and tells the build where. $1: how many there are to come, in a machine that was restored; else those are there.
mount_caches() {
  read_uptime
  patience=$((uptime + 10))
  while :; do
    found=
    for serial in /sys/block/vd*/serial; do
      [ -r "$serial" ] || continue
      first_line=
      IFS= read -r first_line < "$serial" || : # it has no end of line
      case $first_line in croft-*) found="$found ${serial%/serial}:${first_line#croft-}" ;; esac
    done
    # shellcheck disable=SC2086
    set -- "$1" $found
    read_uptime
    if [ $# -gt "$1" ] || [ "$uptime" -ge "$patience" ]; then break; fi
    sleep 0.2 2> /dev/null || sleep 1
  done
  shift
  for cache; do mount_cache "${cache%%:*}" "${cache#*:}"; done
}

# Mounts the disk $1 (in /sys/block) as the cache $2.
mount_cache() {
  if ! mkdir -p "$caches/$2" || ! mount -t ext4 -o noatime,nosuid,nodev "/dev/${1##*/}" "$caches/$2"; then
    say "the cache $2 cannot be mounted: the build goes without it"
    return
  fi
  case $2 in
    ccache)
      read_line "$1/size"
      # Of what its disk has, in blocks of 512 bytes: with no more room it could not clear away.
      export CCACHE_DIR="$caches/ccache" CCACHE_MAXSIZE="$((first_line * 4 / 10240))M"
      for directory in /usr/lib/ccache /usr/lib64/ccache /usr/lib/ccache/bin; do
        [ ! -e "$directory/cc" ] || PATH=$directory:$PATH
      done
      ;;
    sccache)
      read_line "$1/size"
      export SCCACHE_DIR="$caches/sccache" SCCACHE_CACHE_SIZE="$((first_line * 4 / 10240))M"
      ;;
  esac
  name=$(printf %s "$2" | tr a-z- A-Z_)
  export "CROFT_CACHE_$name=$caches/$2"
}

# Only what is complete on its disk can be kept.
unmount_caches() {
  for cache in "$caches"/*; do ! mounted "$cache" || umount "$cache" || say "the cache ${cache##*/} is still in use"; done
}
