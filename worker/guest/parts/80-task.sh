# --- A task ---------------------------------------------------------------------------------------------------

prepare_state() {
  mkdir -p "$state" || exit 1
  grep -q " $state tmpfs " /proc/mounts || mount -t tmpfs -o "size=$((48 + log_limit_kib / 64))m,mode=700" croft "$state" 2> /dev/null ||
    dd if=/dev/zero of="$state/ballast" bs=65536 count=128 2> /dev/null
  rm -rf "$state/log" "$task" "$state/breakpoint" && mkdir -p "$state/log" "$task" && : > "$state/operations"
}

do_task() {
  prepare_state
  echo -500 > /proc/self/oom_score_adj 2> /dev/null
  offer_shells
  say "version $croft_worker_version, waiting for a task"
  await_task
  set_clock
  open_live_log
  # shellcheck disable=SC2119
  if ! (perform_task) 2> "$state/failure"; then
    rm -f "$state/ballast"
    add_operation worker abnormal < "$state/failure"
  fi
  rm -f "$state/ballast"
  upload_files > "$state/upload-log" 2>&1 || add_operation upload error < "$state/upload-log"
  heading "sending the result"
  send_result || return
  # The agent ends the machine now, or suspends it: one that an operator resumes must not power off then.
  ! is_ours || while :; do sleep 3600; done
}
