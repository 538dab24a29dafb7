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

# Keeps the first half of the limit of standard input in $1.head, its last 4 MiB or more in $1.old and $1.new, and what it
# counts in $1.counts. Files written in turn cost little beside the stream itself; what leaves them is looked through.
capture() {
  dd bs=4096 count="$half_blocks" iflag=fullblock of="$1.head" 2> /dev/null
  size=$(wc -c < "$1.head") line=0 errors=0 warnings=0
  go_past "$1.head"
  : > "$1.old" && : > "$1.new"
  while dd bs=65536 count="$chunk_blocks" iflag=fullblock of="$1.next" 2> /dev/null && [ -s "$1.next" ]; do
    look_through "$1" "$1.old"
    mv "$1.new" "$1.old" && mv "$1.next" "$1.new"
    size=$((size + $(wc -c < "$1.new")))
  done
  echo "$size $line $errors $warnings" > "$1.counts"
  printf '%s' "$carry" > "$1.carry"
  cat > /dev/null # only if the log could not be written: the build must not meet a broken pipe
}

# Goes on to the piece of the log after this one: sets line, how many lines have ended, and carry, what there is of the next.
go_past() {
  line=$((line + $(wc -l < "$1")))
  carry=$(tail -c 1024 "$1" | tr '\000' '?' && echo x)
  carry=${carry%x}
  carry=${carry##*"$newline"}
}

# Looks for lines that look like errors and warnings in the next piece of a log: $1.errors and $1.warnings. Fixed text
# first, as for has_warning. A line that does not end in the piece belongs to the next, if there is one: $3 is 0.
look_through() {
  [ -s "$2" ] || return 0
  found=$({
    { printf '%s' "$carry" && cat "$2"; } | grep -a -n -F -e arning -e rror -e '***' -e 'undefined ref' -e FAIL -e FATAL -e ERROR \
      -e 'panic: ' -e 'Traceback ' | without_colours
    echo
    [ ! -s "$state/warnings" ] ||
      { printf '%s' "$carry" && cat "$2"; } | without_colours | grep -a -n -E -f "$state/warnings"
  } | awk -v to="$1" -v base="$line" -v last="$(($(wc -l < "$2") + ${3:-0}))" -v bound="$notable_bound" \
    -v errors="$errors" -v warnings="$warnings" "$notable_lines")
  errors=${found% *} warnings=${found#* }
  go_past "$2"
}
notable_bound=100 # of each kind

# Makes the result's log $1.log from what capture kept.
finish_log() {
  read -r size line errors warnings < "$1.counts"
  kept=$(wc -c < "$1.head") last=$(wc -c < "$1.new")
  rest=$((size - kept))
  [ "$rest" -le $((half_blocks * 4096)) ] || rest=$((half_blocks * 4096))
  cut=$((size - kept - rest))
  {
    cat "$1.head"
    [ "$cut" -le 0 ] || left_out "$1"
    [ "$rest" -le "$last" ] || tail -c $((rest - last)) "$1.old"
    [ "$rest" -ge "$last" ] || last=$rest
    tail -c "$last" "$1.new"
  } | tr '\000' '?' | awk "$clean_log" > "$1.log"
  rm -f "$1.head" "$1.old" "$1.new" "$1.next" "$1.counts" "$1.carry" "$1.piece" "$1.errors" "$1.warnings"
}

# Prints what stands for the middle of a log: how much it is, and those of its lines that somebody will look for.
left_out() {
  printf '\n[... %s bytes left out ...]\n' "$cut"
  # The last piece of it ends with the line that ends in what is kept.
  carry=$(cat "$1.carry" && echo x)
  carry=${carry%x}
  {
    cat "$1.old" "$1.new" | head -c $(($(wc -c < "$1.old") + $(wc -c < "$1.new") - rest))
    cat "$1.old" "$1.new" | tail -c "$rest" | head -c 1024 | sed q
  } > "$1.piece"
  look_through "$1" "$1.piece" 1
  [ "$warnings" = 0 ] || : > "$1.warning"
  [ $((errors + warnings)) -gt 0 ] || return 0
  printf '[... of these, lines that look like errors: %s, like warnings: %s; the first %s of each:]\n' "$errors" "$warnings" "$notable_bound"
  cat "$1.errors" "$1.warnings" 2> /dev/null | sort -n | sed 's/^\([0-9]*\) /[line \1] /'
  echo '[...]'
}
