# --- A task ---------------------------------------------------------------------------------------------------

prepare_state() {
  mkdir -p "$state" || exit 1
  mounted "$state" tmpfs || mount -t tmpfs -o "size=$((48 + log_limit_kib / 64))m,mode=700" croft "$state" 2> /dev/null ||
    dd if=/dev/zero of="$state/ballast" bs=65536 count=128 2> /dev/null
  rm -rf "$state/log" "$task" "$state/breakpoint" "$state/secrets" "$state/secrets.manifest" && mkdir -p "$state/log" "$task" && : > "$state/operations"
}

# What programs expect of every machine, whoever made its image and init: images stay as they are for years.
prepare_machine() {
  for link in fd: stdin:/0 stdout:/1 stderr:/2; do
    name=/dev/${link%%:*}
    [ -e "$name" ] || [ -L "$name" ] || ln -s "/proc/self/fd${link#*:}" "$name"
  done
  mounted /dev/shm || { mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 tmpfs /dev/shm; }
  mounted /dev/pts ||
    { mkdir -p /dev/pts && mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts; }
  [ -e /etc/mtab ] || [ -L /etc/mtab ] || ln -s ../proc/self/mounts /etc/mtab
  grep -q -w localhost /etc/hosts || echo '127.0.0.1 localhost' >> /etc/hosts
  read_line /proc/sys/kernel/hostname
  host=$first_line
  [ -z "$host" ] || grep -q -w -F -e "$host" /etc/hosts || echo "127.0.1.1 $host" >> /etc/hosts
  if [ ! -d "${HOME:-}" ] || ! : > "$HOME/.croft" || ! rm "$HOME/.croft"; then
    HOME=$state/home
    mkdir -p "$HOME"
  fi
  export HOME USER="${USER:-root}" LOGNAME="${LOGNAME:-root}"
} 2> /dev/null

do_task() {
  if is_auxiliary; then
    do_auxiliary
    return
  fi
  prepare_state
  prepare_machine
  echo -500 > /proc/self/oom_score_adj 2> /dev/null
  offer_shells
  find_client
  find_namespace
  await_start
  say "version $croft_worker_version, waiting for a task"
  await_task
  [ -n "${control_address:-}" ] || set_clock # it was set to the moment
  open_live_log
  join_group
  # shellcheck disable=SC2119
  if ! (perform_task) 2> "$state/failure"; then
    rm -f "$state/ballast"
    add_operation worker abnormal < "$state/failure"
  fi
  rm -f "$state/ballast"
  unmount_caches
  upload
  heading "sending the result"
  send_result || return
  # The agent ends the machine now, or suspends it: one that an operator resumes must not power off then.
  ! is_ours || while :; do sleep 3600; done
}

# What could not be uploaded is an operation of its own: the others have ended.
upload() {
  rm -f "$state/too-much"
  status=success
  upload_files > "$state/upload-log" 2>&1 || status=error
  [ ! -e "$state/too-much" ] || status=error
  [ "$status" = error ] || [ ! -e "$state/undelivered" ] || status=warning
  if [ "$status" != success ] || [ -s "$state/upload-log" ]; then
    awk 'NR <= 100 { print } END { if (NR > 100) print "... and", NR - 100, "more" }' "$state/upload-log" | add_operation upload "$status"
  fi
}
