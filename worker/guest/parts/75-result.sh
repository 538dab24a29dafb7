# --- Result and uploads ---------------------------------------------------------------------------------------

# Prints the result manifest.
write_result() {
  name=$(field name)
  overall=success
  [ ! -e "$state/skip" ] || overall=skip
  while read -r _ status; do
    case $overall-$status in
      *-abnormal | *-abort | success-* | warning-error) overall=$status ;;
    esac
  done < "$state/operations"
  echo ': 1'
  put_value name "${name:-unknown}"
  put_value version "$(resolved_version)"
  put_value status "$overall"
  if [ "$overall" != skip ]; then
    while read -r operation status; do
      put_value "$operation-status" "$status"
      put_log "$operation-log" "$state/log/$operation.log"
    done < "$state/operations"
  fi
  for name in worker-checksum dependency-checksum; do
    [ ! -s "$state/$name" ] || put_value "$name" "$(cat "$state/$name")"
  done
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
    # shellcheck disable=SC2059
    printf "$(printf '\\%03o\\%03o\\%03o\\200' $((size & 255)) $((size >> 8 & 255)) $((size >> 16 & 255)))"
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
