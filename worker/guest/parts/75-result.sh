# --- Result and uploads ---------------------------------------------------------------------------------------

# Prints the result manifest.
write_result() {
  field name
  name=$value
  overall=success
  [ ! -e "$state/skip" ] || overall=skip
  while read -r _ status; do
    case $overall-$status in
      *-abnormal | *-abort | success-* | warning-error) overall=$status ;;
    esac
  done < "$state/operations"
  echo ': 1'
  put_value name "${name:-unknown}"
  field version
  [ "${value:-0}" != 0 ] || value=$(resolved_version)
  put_value version "$value"
  put_value status "$overall"
  [ "$overall" = skip ] || put_operations
  for name in worker-checksum dependency-checksum; do
    read_line "$state/$name"
    [ -z "$first_line" ] || put_value "$name" "$first_line"
  done
}

# Writes status and log of all operations, with one program for all: each log, which has gone through clean_log, comes after
# a file with what stands before it.
put_operations() {
  end=
  set --
  while read -r operation status; do
    log=$state/log/$operation
    {
      printf '%s' "$end"
      put_value "$operation-status" "$status"
      printf '%s:\n' "$operation-log"
      end=
      [ ! -s "$log.log" ] || { end="\\$newline" && printf '%s' "$end"; }
    } > "$log.before"
    set -- "$@" "$log.before" "$log.log"
  done < "$state/operations"
  [ $# = 0 ] || cat "$@"
  printf '%s' "$end"
}

# Adds an operation of the worker's own with the log on standard input.
add_operation() {
  tr '\000' '?' | tee "$state/raw" >&7
  awk "$clean_log" "$state/raw" > "$state/log/$1.log"
  echo "$1 $2" >> "$state/operations"
}

# $1 as an LZ4 frame of stored blocks on standard output. The header (no checksums but its own, blocks of at most
# 4 MiB) is constant, and with it its checksum byte; a block's size carries the mark "stored" in its highest bit.
stored_frame() {
  printf '\004\042\115\030\140\160\163'
  rest=$(wc -c < "$1") block=0
  while [ "$rest" -gt 0 ]; do
    size=$((rest < 4194304 ? rest : 4194304))
    for byte in $((size & 255)) $((size >> 8 & 255)) $((size >> 16 & 255)) 128; do
      # shellcheck disable=SC2059
      printf "\\$((byte >> 6))$((byte >> 3 & 7))$((byte & 7))"
    done
    dd bs=4194304 skip="$block" count=1 < "$1" 2> /dev/null
    rest=$((rest - size)) block=$((block + 1))
  done
  printf '\000\000\000\000'
}

send_result() {
  write_result > "$state/result.manifest"
  if { has lz4 && lz4 -q -f "$state/result.manifest" "$state/result.manifest.lz4" 2> /dev/null; } ||
    stored_frame "$state/result.manifest" > "$state/result.manifest.lz4"; then
    put "$state/result.manifest.lz4" result.manifest.lz4 && return 0
  fi
  put "$state/result.manifest" result.manifest
}
