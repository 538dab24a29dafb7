# --- Uploads: what operations leave in $upload/<type>/ --------------------------------------------------------

# The agent takes plain files of <type>/<name>, where "/" in a name becomes "-", and refuses the whole archive for anything
# else. So what cannot be delivered is taken out, and said; what can be with another name, or as a file, is.
upload_limit=9000 # files; the agent counts directories, too
name_limit=200

# Removes what cannot be delivered, and says why.
refuse() {
  printf '%s is not delivered: %s\n' "$(printf '%s' "${1#"$upload"/}" | tr '\n' '?')" "$2"
  : > "$state/undelivered"
  rm -rf "$1"
}

# renamed PATH NAME WHY [DIRECTORY]: gives it another name, one that is free.
renamed() {
  directory=${4:-${1%/*}} name=$2 number=2
  while [ -e "$directory/$name" ] || [ -L "$directory/$name" ]; do name=$2.$number number=$((number + 1)); done
  mv "$1" "$directory/$name" || { refuse "$1" "it cannot be renamed" && return; }
  printf '%s is delivered as %s: %s\n' "$(printf '%s' "${1#"$upload"/}" | tr '\n' '?')" "$name" "$3"
}

# "croft-worker artifact PATH...", for what is no plain file, or has an odd name.
make_deliverable() {
  for path; do
    if [ -L "$path" ]; then
          to=$(readlink -f "$path")
      case $to in "$work"/*) ;; *) refuse "$path" "a link to $to, which is not in $work" && continue ;; esac
      if [ ! -f "$to" ]; then refuse "$path" "a link to ${to#"$work"/}, which is no file" && continue; fi
      { cp "$to" "$work/copy" && mv "$work/copy" "$path"; } || { refuse "$path" "the file cannot be copied" && continue; }
    elif [ ! -f "$path" ] && [ ! -d "$path" ]; then refuse "$path" "it is no file" && continue; fi
    name=$(printf '%s' "${path##*/}" | tr '\n\r\t\033\010\134' '______' | awk "$clean_log")
    [ "$name" = "${path##*/}" ] || renamed "$path" "$name" "its name has characters that cannot be used"
  done
}

# Prints "long PATH", "same PATH" and "many PATH" for what cannot stay as it is, of paths on standard input.
odd_paths() {
  awk -v names="$name_limit" -v files="$upload_limit" '{
    type = $0; sub(/\/.*/, "", type)
    name = substr($0, length(type) + 2); gsub("/", "-", name)
    if (NR > files) print "many", $0
    else if (length(name) > names) print "long", $0
    else if (type "/" name in seen) print "same", $0
    seen[type "/" name]
  }'
}

tidy_upload() {
  for type in "$upload"/* "$upload"/.[!.]*; do
    if [ ! -e "$type" ] && [ ! -L "$type" ]; then continue; fi
    if [ -L "$type" ] || [ ! -d "$type" ]; then refuse "$type" "it is not in a directory for its type of artifacts"
    else case ${type##*/} in *[!A-Za-z0-9_.+-]*) refuse "$type" "no type of artifacts has such a name" ;; esac; fi
  done
  find "$upload" -mindepth 2 -depth \( ! -type f ! -type d -o -name '*[! -~]*' -o -name '*\\*' \) -exec "$self" artifact {} +
  # Another name may be taken, too.
  for round in 1 2 3; do
    (cd "$upload" && find . -mindepth 2 -type f) | sed 's|^\./||' | sort | odd_paths > "$state/odd"
    [ -s "$state/odd" ] || return 0
    while IFS= read -r odd; do
      path=${odd#* }
      flat=$(printf '%s' "${path#*/}" | tr / - | tail -c "$name_limit" | awk "$clean_log")
      case ${odd%% *}$round in
        many* | *3) refuse "$upload/$path" "there are more than $upload_limit files, or more of its name" ;;
        long*) renamed "$upload/$path" "$flat" "its path is too long for a name" "$upload/${path%%/*}" ;;
        same*) renamed "$upload/$path" "$flat" "another has this name, where '/' in a path becomes '-'" "$upload/${path%%/*}" ;;
      esac
    done < "$state/odd"
  done
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
  rm -f "$state/undelivered"
  [ -d "$upload" ] || return 0 # the task did not come so far
  set -- "$upload"/* "$upload"/.[!.]*
  if [ $# = 2 ] && [ ! -e "$1" ] && [ ! -L "$1" ] && [ ! -e "$2" ] && [ ! -L "$2" ]; then return 0; fi
  tidy_upload
  [ -n "$(find "$upload" -mindepth 2 -type f 2> /dev/null | head -n 1)" ] || return 0
  for attempt in 1 2 3 4 5; do
    if ! pack_upload 2> /dev/null; then
      rm -rf "$source" "$build" "$stage"
      pack_upload || return
    fi
    put "$work/upload.tar" upload.tar 2> "$state/put" && break
    cat "$state/put"
    grep -i -q -e '(3)' -e full "$state/tftp" || return
    # The largest goes, for the others; by now names are without newlines.
    largest=$(find "$upload" -type f -exec wc -c {} \; | sort -rn | head -n 1)
    refuse "${largest#* }" "with its ${largest%% *} bytes there is more than the agent takes"
    : > "$state/too-much"
    [ -n "$(find "$upload" -mindepth 2 -type f | head -n 1)" ] || break
  done
}
