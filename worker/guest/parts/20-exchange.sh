# --- Exchanging files with the agent --------------------------------------------------------------------------

# Sets tftp_host and tftp_port. Asked for anew before each transfer: a machine restored from a saved memory state
# finds another port in the firmware configuration than at the time of saving.
locate_agent() {
  local_address=${control_address:-}
  if [ -z "$local_address" ]; then
    read_line /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw
    local_address=$first_line
  fi
  [ -n "$local_address" ] || local_address=${CROFT_TFTP:-}
  [ -n "$local_address" ] ||
    local_address=$(tr ' ' '\n' < /proc/cmdline | sed -n 's/^croft\.tftp=//p' | tail -n 1)
  [ -n "$local_address" ] || local_address=$(head -n 1 /etc/croft/tftp 2> /dev/null)
  [ -n "$local_address" ] || local_address=196.254.111.222:69
  tftp_host=${local_address%:*}
  tftp_port=${local_address##*:}
}

# Sets tftp_client, once: a machine that is saved has it then.
find_client() {
  [ -z "$tftp_client" ] || return 0
  if busybox tftp --help > /dev/null 2>&1; then tftp_client=busybox
  elif has atftp; then tftp_client=atftp
  elif curl --version 2> /dev/null | grep -q -w tftp; then tftp_client=curl
  else tftp_client=tftp; fi
}
tftp_client=

# One attempt: transfer get|put REMOTE LOCAL. 1468 bytes of data fill an Ethernet frame. What a client says goes
# to standard error.
transfer() {
  locate_agent
  find_client
  if [ "$tftp_client" = busybox ]; then
    if [ "$1" = get ]; then set -- -g "$2" "$3"; else set -- -p "$2" "$3"; fi
    $tftp_limit busybox tftp "$1" -b 1468 -r "$2" -l "$3" "$tftp_host" "$tftp_port"
  elif [ "$tftp_client" = atftp ]; then
    $tftp_limit atftp "--$1" --option "blksize 1468" -r "$2" -l "$3" "$tftp_host" "$tftp_port"
  elif [ "$tftp_client" = curl ]; then
    if [ "$1" = get ]; then set -- -o "$2" "$3"; else set -- -T "$2" "$3"; fi
    $tftp_limit curl -sS --tftp-blksize 1468 "$1" "$3" "tftp://$tftp_host:$tftp_port/$2"
  else # tftp-hpa: says what went wrong, but ends with 0; not so when the time limit ends it
    if [ "$1" = put ]; then set -- put "$3" "$2"; fi
    said=$($tftp_limit tftp -m binary "$tftp_host" "$tftp_port" -c "$@" 2>&1) && [ -z "$said" ] && return
    printf '%s\n' "$said" >&2
    return 1
  fi
}
tftp_limit=

# get REMOTE LOCAL: with retries; status 2 if the agent has no such file.
get() {
  for pause in 1 2 4 8 16 0; do
    rm -f "$2.part"
    if transfer get "$1" "$2.part" 2> "$state/tftp" && [ -f "$2.part" ]; then
      mv "$2.part" "$2" && return 0
    fi
    rm -f "$2.part"
    if grep -i -q -e '(1)' -e 'not found' -e 'no such file' "$state/tftp"; then return 2; fi
    sleep "$pause"
  done
  say "cannot get '$1' from $tftp_host:$tftp_port: $(cat "$state/tftp")"
  return 1
}

# put LOCAL REMOTE: with retries, unless the agent has no room for it.
put() {
  for pause in 1 2 4 8 16 0; do
    transfer put "$2" "$1" 2> "$state/tftp" && return 0
    ! grep -i -q -e '(3)' -e 'full' "$state/tftp" || break
    sleep "$pause"
  done
  say "cannot put '$2' to $tftp_host:$tftp_port: $(cat "$state/tftp")"
  return 1
}

# Waits for the task, for ever: whoever else saves a machine's memory saves it here, so attempts and pauses are short;
# attempts grow, for a host so slow that no transfer ends in time. Busybox's client gives up by itself, as others may not, and
# needs no other limit in a machine that goes on.
await_task() {
  attempt=0
  until set_limit && transfer get task.manifest "$state/task.manifest" &&
    [ -s "$state/task.manifest" ]; do
    [ "$attempt" -ge 95 ] || attempt=$((attempt + 1))
    sleep 0.2 2> /dev/null || sleep 1
  done 2> /dev/null
  tftp_limit=
}
set_limit() { [ "${control_address:+$tftp_client}" = busybox ] || tftp_limit="timeout $((1 + attempt / 5))"; }

# After a memory state is restored the system clock is as old as the state; the hardware clock is right.
set_clock() {
  now=$(cat /sys/class/rtc/rtc0/since_epoch 2> /dev/null) || return 0
  behind=$((now - $(date +%s)))
  if [ "$behind" -gt 2 ] || [ "$behind" -lt -2 ]; then date -u -s "@$now" > /dev/null 2>&1; fi
}
