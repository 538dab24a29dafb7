# --- The operations of a task ---------------------------------------------------------------------------------

checksum() { sha256sum | cut -d ' ' -f 1; }

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
  target=$(field target)
  environment_name=$(field environment)
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
  if ! words=$(field warning-regex | quoted_words); then
    refuse_task "warning-regex: a quote is not closed"
    return 0
  fi
  eval "set -- $words"
  printf '%s\n' "$@" | grep . > "$state/warnings"
  echo x | grep -q -E -f "$state/warnings" 2> "$state/regex-error"
  if [ $? -gt 1 ]; then
    refuse_task "bad warning-regex: $(cat "$state/regex-error")"
    return 0
  fi
  export CI=true TERM=dumb CROFT_TARGET="$target" CROFT_UPLOAD="$upload" CROFT_BUILD="$build" CROFT_VERSION CROFT_NAME
  CROFT_NAME=$(field name)
  CROFT_VERSION=$(field version)
  case $breakpoint in
    '') ;;
    none | error | warning | fetch | configure | update | test | install) heading "interactive build; to look into it: $login" ;;
    *)
      echo "There is no breakpoint '$breakpoint'; there are: fetch configure update test install error warning none" |
        add_operation interactive error
      return 0
      ;;
  esac
  rm -rf "$work"
  mkdir -p "$upload" "$build" || fail "cannot make the directory $work"

  worker_checksum=$({ echo "$croft_worker_version $environment_name $target" && cat "${environment:-/dev/null}"; } | checksum)
  echo "$worker_checksum" > "$state/worker-checksum"
  perform fetch || return 0
  [ -s "$state/identity" ] || return 0
  CROFT_COMMIT=$(cat "$state/commit" 2> /dev/null)
  export CROFT_COMMIT
  for name in name version target target-config package-config; do field "$name" && echo; done |
    cat "$state/identity" - | checksum > "$state/dependency-checksum"
  # Whoever wants to look into a build does not want it to be skipped.
  if [ -z "$breakpoint" ] && [ "$worker_checksum" = "$(field worker-checksum)" ] &&
    [ "$(cat "$state/dependency-checksum")" = "$(field dependency-checksum)" ]; then
    heading "nothing has changed since the last build: skipped"
    : > "$state/skip"
    return 0
  fi
  for operation in configure update test install; do perform "$operation" || return 0; done
}
