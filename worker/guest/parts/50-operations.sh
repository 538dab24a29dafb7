# --- Operations (these run inside the environment, as "croft-worker operation NAME") --------------------------

# Turns a list of arguments (separated by blanks and newlines; one level of quotes removed) into quoted shell words.
quoted_words() {
  awk -v quote="'" '
    { text = text $0 "\n" }
    function add(c) { word = word (c == quote ? quote "\\" quote quote : c); inside = 1 }
    END {
      for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (open != "") { if (c == open) open = ""; else add(c) }
        else if (c == "\"" || c == quote) { open = c; inside = 1 }
        else if (c ~ /[ \t\n]/) { if (inside) printf "%s%s%s ", quote, word, quote; word = ""; inside = 0 }
        else add(c)
      }
      if (inside) printf "%s%s%s ", quote, word, quote
      exit open != ""
    }'
}

# Sets words to one of the task's values as quoted shell words; status 1 if a quote is not closed.
read_words() {
  words=
  field "$1" || return 0
  [ -z "$value" ] || words=$(printf '%s\n' "$value" | quoted_words)
}

# Prints a command, and runs it without the live log's descriptor.
shown() {
  [ -n "$headed" ] || heading "$operation"
  headed=yes
  echo "+ $*"
  LC_ALL=$build_locale "$@" 7>&-
}

# The operation does not exist for this source.
absent() {
  : > "$state/absent"
  exit 0
}

run_operation() {
  operation=$1 headed=
  echo 0 > /proc/self/oom_score_adj 2> /dev/null # the worker itself is spared when memory runs out
  if [ "$operation" = fetch ]; then
    heading fetch
    fetch 7>&-
    return
  fi
  cd "$source" || fail "no source directory $source"
  export_variables
  if has_command; then run_command; return; fi
  find_own_operation
  set --
  if [ "$operation" = configure ] || [ -z "$own" ]; then
    for name in target-config package-config; do
      read_words "$name" || fail "$name: a quote is not closed"
      eval "set -- \"\$@\" $words"
    done
  fi
  if [ "$operation" = install ]; then export DESTDIR="$stage"; fi
  if [ -n "$own" ]; then shown "$own" "$@"; else build_step "$@"; fi || return
  [ "$operation" != install ] || pack_stage
}

run_command() {
  [ "$operation" = update ] || absent
  read_words package-config || fail "package-config: a quote is not closed"
  set --
  eval "set -- $words"
  tell "as the submission says"
  LC_ALL=$build_locale sh -c "$2" 7>&-
}

pack_stage() {
  if [ ! -e "$stage" ] || [ -z "$(find "$stage" ! -type d 2> /dev/null | head -n 1)" ]; then return 0; fi
  field name
  artifact=$(printf '%s-%s-%s' "$value" "$(resolved_version)" "$target" | tr -c 'A-Za-z0-9_.+~-' _)
  mkdir -p "$upload/artifact" && shown tar -C "$stage" -czf "$upload/artifact/$artifact.tar.gz" .
}
