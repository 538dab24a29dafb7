# --- Logs: the live one, and the bounded one of each operation ------------------------------------------------

# Opens descriptor 7 for everything printed: the virtio-serial port org.croft.log, else the console. A port without
# a reader on the host blocks for ever, so it is tried first with a line that may take a second; but whoever has saved and
# restored the machine reads it.
open_live_log() {
  exec 7>&1
  find_port org.croft.log || return 0
  if [ -n "${control_address:-}" ]; then
    exec 7> "$port"
    heading "croft-worker $croft_worker_version"
    return
  fi
  # shellcheck disable=SC2016
  timeout 2 sh -c 'printf "==> croft-worker %s\r\n" "$1" > "$2"' sh "$croft_worker_version" "$port" 2> /dev/null || return 0
  exec 7> "$port"
}

heading() { printf '==> %s\r\n' "$1" 2> /dev/null >&7; }

# Whether a result's log has a line of the form that compilers and CMake give their warnings, or one that matches the task's
# expressions; $2 is the status of finish_log. Fixed text first: busybox's grep is eighty times as fast with it.
has_warning() {
  if [ "$2" != 0 ] && grep -F arning "$1" |
    grep -q -E -e '(^|: )[Ww]arning( [A-Z]+[0-9]+)?: ' -e '^CMake (Deprecation )?Warning'; then return; fi
  [ -s "$state/warnings" ] && grep -q -E -f "$state/warnings" "$1"
}
without_colours() { sed "s/$(printf '\033')\[[0-9;]*[mK]//g"; }

# Keeps the first half of the limit of standard input in $1.head, its last 4 MiB or more in $1.old and $1.new, and what it
# counts in $1.counts. Files written in turn cost little beside the stream itself; what leaves them is looked through. Of a
# log that ends before the half, which dd tells in its first line ("12+1 records in"), there is only $1.head, and an empty $1.whole.
capture() {
  read_all=$(dd bs=4096 count="$half_blocks" iflag=fullblock of="$1.head" 2>&1) &&
    case ${read_all%%+*} in '' | *[!0-9]* | "$half_blocks") false ;; esac && : > "$1.whole" && return
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

# Makes the result's log $1.log from what capture kept; status 0 if it has none of the usual warnings.
finish_log() {
  if [ -e "$1.whole" ]; then
    tr '\000' '?' < "$1.head" | awk "$clean_log" > "$1.log"
    set -- "$1" $?
    : > "$1.head"
    return "$2"
  fi
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
  set -- "$1" $?
  rm -f "$1.head" "$1.old" "$1.new" "$1.next" "$1.counts" "$1.carry" "$1.piece" "$1.errors" "$1.warnings"
  return "$2"
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
