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

# Makes upload.tar. Files that are one by hard links are packed each on its own, as the agent refuses links: GNU tar has
# an option for it, elsewhere they are copied first.
pack_upload() {
  if tar --hard-dereference -cf /dev/null -T /dev/null 2> /dev/null; then
    tar --hard-dereference -C "$work" -cf "$work/upload.tar" upload
    return
  fi
  # shellcheck disable=SC2016
  find "$upload" -type f -links +1 -exec sh -c 'cp -p "$1" "$2" && mv "$2" "$1"' sh {} "$work/copy" \;
  [ -z "$(find "$upload" -type f -links +1 | head -n 1)" ] && tar -C "$work" -cf "$work/upload.tar" upload
}

# Sends what the operations left to be uploaded; a full disk gets room by removing what was built.
upload_files() {
  # What the agent would refuse, and the rest of the archive with it: types that are no names, links, devices,
  # backslashes in names.
  find "$upload" \( ! -type f ! -type d -o -name '*\\*' \) -prune -exec rm -rf {} +
  for type in "$upload"/* "$upload"/.[!.]*; do
    case ${type##*/} in *[!A-Za-z0-9_.+-]*) rm -rf "$type" ;; esac
  done
  [ -n "$(find "$upload" -mindepth 2 -type f 2> /dev/null | head -n 1)" ] || return 0
  if ! pack_upload; then
    rm -rf "$source" "$build" "$stage"
    pack_upload || return
  fi
  put "$work/upload.tar" upload.tar
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
