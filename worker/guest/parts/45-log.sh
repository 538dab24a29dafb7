# --- Logs: the live one, and the bounded one of each operation ------------------------------------------------

# Opens descriptor 7 for everything printed: the virtio-serial port org.croft.log, else the console. A port without
# a reader on the host blocks for ever, so it is tried first with a line that may take a second.
open_live_log() {
  exec 7>&1
  for live_name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$live_name" 2> /dev/null)" = org.croft.log ] || continue
    live_port=${live_name%/name}
    live_port=/dev/${live_port##*/}
    # shellcheck disable=SC2016
    timeout 2 sh -c 'printf "==> croft-worker %s\r\n" "$1" > "$2"' sh "$croft_worker_version" "$live_port" \
      2> /dev/null || continue
    exec 7> "$live_port"
    return
  done
}

heading() { printf '==> %s\r\n' "$1" 2> /dev/null >&7; }

# Whether a file has a line of the form that compilers and CMake give their warnings, or one that matches the task's
# expressions; colours do not count. Fixed text first: busybox's grep is eighty times as fast with it.
has_warning() {
  grep -F arning "$1" | without_colours | grep -q -E -e '(^|: )[Ww]arning( [A-Z]+[0-9]+)?: ' -e '^CMake (Deprecation )?Warning' ||
    { [ -s "$state/warnings" ] && without_colours < "$1" | grep -q -E -f "$state/warnings"; }
}
without_colours() { sed "s/$escape\[[0-9;]*[mK]//g"; }
escape=$(printf '\033')

# Keeps the first half of the limit of standard input in $1.head, its last 4 MiB or more in $1.old and $1.new, and
# its size in $1.size. Files written in turn cost little beside the stream itself; its middle is searched for warnings
# on its way (the ends are searched when they have been cleaned).
capture() {
  dd bs=4096 count="$half_blocks" iflag=fullblock of="$1.head" 2> /dev/null
  size=$(wc -c < "$1.head")
  : > "$1.new"
  while dd bs=65536 count="$chunk_blocks" iflag=fullblock of="$1.next" 2> /dev/null && [ -s "$1.next" ]; do
    mv "$1.new" "$1.old" && mv "$1.next" "$1.new"
    size=$((size + $(wc -c < "$1.new")))
    if [ ! -e "$1.warning" ]; then
      { tail -c 1024 "$1.old" && head -c 1024 "$1.new"; } > "$1.seam"
      if has_warning "$1.new" || has_warning "$1.seam"; then : > "$1.warning"; fi
    fi
  done
  echo "$size" > "$1.size"
  cat > /dev/null # only if the log could not be written: the build must not meet a broken pipe
}

# Makes the result's log $1.log from what capture kept.
finish_log() {
  kept=$(wc -c < "$1.head") last=$(wc -c < "$1.new") size=$(cat "$1.size")
  rest=$((size - kept))
  [ "$rest" -le $((half_blocks * 4096)) ] || rest=$((half_blocks * 4096))
  cut=$((size - kept - rest))
  {
    cat "$1.head"
    [ "$cut" -le 0 ] || printf '\n[... %s bytes left out ...]\n' "$cut"
    [ "$rest" -le "$last" ] || tail -c $((rest - last)) "$1.old"
    [ "$rest" -ge "$last" ] || last=$rest
    tail -c "$last" "$1.new"
  } | tr '\000' '?' | awk "$clean_log" > "$1.log"
  rm -f "$1.head" "$1.old" "$1.new" "$1.next" "$1.seam" "$1.size"
}
