# --- The operations of a task ---------------------------------------------------------------------------------

# Notes what the result says of the worker and, if it was fetched (status $1), of what is built: who sends them with the next
# task has it skipped if they are the same.
note_checksums() {
  sums=$state/sums fetched=$1
  {
    echo "$croft_worker_version $environment_name $target"
    [ -z "$environment" ] || cat "$environment"
  } > "$sums.worker"
  set -- "$sums.worker"
  if [ "$fetched" = 0 ] && [ -s "$state/identity" ]; then
    {
      read_text "$state/identity"
      printf '%s' "$text"
      for name in name version target target-config package-config; do
        [ ! -f "$task/$name" ] || { read_text "$task/$name" && printf '%s\n' "$text"; }
      done
    } > "$sums.dependency"
    set -- "$@" "$sums.dependency"
  fi
  sha256sum "$@" > "$sums"
  while read -r sum file; do echo "$sum" > "$state/${file##*.}-checksum"; done < "$sums"
}

# What the task asks for is not there: its sender's mistake, and no failure of the worker's, for which a machine is kept.
refuse_task() { echo "$*" | add_operation task error; }

# Sets namespace, the words before an operation that keep its processes together; empty if the kernel has none.
find_namespace() {
  namespace="unshare -p -f --mount-proc"
  $namespace true 2> /dev/null || namespace=
}

# Reads the task, finds its environment, and performs its operations. Runs in a subshell: whatever ends it other
# than its last line is a failure of the worker.
# shellcheck disable=SC2120
perform_task() {
  read_error=$(awk -v to="$task" "$read_manifest" "$state/task.manifest" 2>&1) ||
    fail "cannot read the task manifest: $read_error"
  read_secrets
  field target
  target=$value
  field environment
  environment_name=$value
  environment=/etc/croft/environments/${environment_name:-default}
  case $environment_name in
    .* | */*)
      refuse_task "'$environment_name' is no name of an environment"
      return 0
      ;;
  esac
  if [ ! -x "$environment" ]; then
    if [ -n "$environment_name" ] && [ "$environment_name" != default ]; then
      refuse_task "this machine has no environment '$environment_name' ($environment)"
      return 0
    fi
    environment=
  fi
  read_interactive
  if ! read_words warning-regex; then
    refuse_task "warning-regex: a quote is not closed"
    return 0
  fi
  : > "$state/warnings"
  if [ -n "$words" ]; then
    eval "set -- $words"
    printf '%s\n' "$@" | grep . > "$state/warnings"
    echo x | grep -q -E -f "$state/warnings" 2> "$state/regex-error"
    if [ $? -gt 1 ]; then
      refuse_task "bad warning-regex: $(cat "$state/regex-error")"
      return 0
    fi
  fi
  export CI=true TERM=dumb CROFT_TARGET="$target" CROFT_UPLOAD="$upload" CROFT_BUILD="$build" CROFT_VERSION CROFT_NAME
  field name
  CROFT_NAME=$value
  field version
  CROFT_VERSION=$value
  case $breakpoint in
    '') ;;
    none | error | warning | fetch | configure | update | test | install) heading "interactive build; to look into it: $login" ;;
    *)
      echo "There is no breakpoint '$breakpoint'; there are: fetch configure update test install error warning none" |
        add_operation interactive error
      return 0
      ;;
  esac
  if [ -e "$work" ] || [ -L "$work" ]; then rm -rf "$work"; fi
  mkdir -p "$upload" "$build" || fail "cannot make the directory $work"
  mount_caches "${control_disks:-0}"

  perform fetch
  note_checksums $?
  rm -rf "$state"/secrets/credential-* "$state/secrets/curl"
  if [ "$fetched" != 0 ] || [ ! -s "$state/identity" ]; then return 0; fi
  read_line "$state/commit"
  export CROFT_COMMIT="$first_line"
  # Whoever wants to look into a build does not want it to be skipped.
  if [ -z "$breakpoint" ] && is_same worker-checksum && is_same dependency-checksum; then
    heading "nothing has changed since the last build: skipped"
    : > "$state/skip"
    return 0
  fi
  for operation in configure update test install; do perform "$operation" || return 0; done
}

# Whether a checksum is the one that the task was sent with.
is_same() {
  read_line "$state/$1"
  field "$1" && [ "$value" = "$first_line" ]
}
