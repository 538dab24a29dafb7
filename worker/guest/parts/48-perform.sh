# --- Running an operation -------------------------------------------------------------------------------------

# Ends what an operation left running. With a process namespace nothing is left; without, its processes are known
# by their environment.
end_leftovers() {
  [ -z "$namespace" ] || return 0
  for signal in TERM KILL; do
    # shellcheck disable=SC2013
    for process in $(grep -l -s "CROFT_OPERATION_MARK=$operation_mark" /proc/[0-9]*/environ); do
      process=${process%/environ}
      kill "-$signal" "${process#/proc/}" 2> /dev/null
    done
  done
}

# Performs operation $1 and adds it to the list of operations. Status 1 if the task cannot go on.
perform() {
  [ "$breakpoint" != "$1" ] || stop_at "before $1"
  ! is_absent "$1" || return 0
  log=$state/log/$1
  [ ! -e "$state/absent" ] || rm -f "$state/absent"
  : > "$state/status"
  operation_mark=$1-$$
  read_uptime
  began=$uptime
  {
    group_variables
    # A session of its own: "kill 0" in a build must not reach the worker.
    # shellcheck disable=SC2086
    LC_ALL=$build_locale CROFT_OPERATION_MARK=$operation_mark setsid $namespace $with_variables \
      ${environment:+"$environment" "$target"} "$self" operation "$1" < /dev/null
    echo $? > "$state/status"
    end_leftovers
  } 2>&1 | (trap '' PIPE && exec tee /proc/self/fd/3 3>&1 >&7 2> /dev/null) | capture "$log"
  [ ! -e "$state/absent" ] || return 0
  read_line "$state/status"
  code=$first_line
  finish_log "$log"
  suspect=$?
  if [ "${code:-70}" -gt 128 ] && [ "$code" -le 192 ]; then status=abort
  elif [ "${code:-70}" -ne 0 ]; then status=error
  elif [ "$1" != fetch ] && { [ -e "$log.warning" ] || has_warning "$log.log" "$suspect"; }; then
    status=warning
  else status=success; fi
  read_uptime
  ended="$1: $status ($((uptime - began)) s)"
  heading "$ended"
  echo "==> $ended" >> "$log.log"
  echo "$1 $status" >> "$state/operations"
  case $breakpoint-$status in
    error-error | error-abort | warning-warning | warning-error | warning-abort) stop_at "after $1, whose status is $status" ;;
  esac
  [ "$status" != error ] && [ "$status" != abort ]
}
