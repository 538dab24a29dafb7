# --- Groups: auxiliary machines, and what a build is told of them -----------------------------------------------

# Whether the agent has started this machine to serve the builds of others.
is_auxiliary() {
  read_line /sys/firmware/qemu_fw_cfg/by_name/opt/croft/role/raw
  [ "$first_line" = auxiliary ]
}

# Brings up the interface in the network of the group, if there is one, and sets group_address. The agent says which it is,
# and what its address is: to a machine that it has restored, by the control port (78-warm.sh).
join_group() {
  group_address=
  if [ -z "${control_address:-}" ]; then
    read_line /sys/firmware/qemu_fw_cfg/by_name/opt/croft/group/raw
    group_mac=${first_line%% *} group_network=${first_line#* }
  fi
  case $group_mac in '' | -) return 0 ;; esac
  read_uptime
  patience=$((uptime + 10)) # one that was restored has only just got the device
  until enter_group; do
    read_uptime
    if [ "$uptime" -ge "$patience" ]; then
      say "there is no interface with the address $group_mac"
      return 1
    fi
    sleep 0.1 2> /dev/null || sleep 1
  done
  group_address=${group_network%/*}
  # Another init renames a new device, and takes away what it has not set up itself.
  [ -z "${control_address:-}" ] || is_ours || for _ in 1 2 3; do sleep 1 && enter_group; done
}

enter_group() {
  find_group || return
  ip address show dev "$interface" | grep -q -F " $group_network " ||
    ip address add "$group_network" dev "$interface" || return
  ip link set "$interface" up
} 2> /dev/null

# Sets interface to that in the network of the group; status 1 if there is none.
find_group() {
  for interface in /sys/class/net/*; do
    read_line "$interface/address"
    interface=${interface##*/}
    [ "$first_line" != "$group_mac" ] || return 0
  done
  false
}

# Serves the builds of others: runs /etc/croft/auxiliary, which starts the services and returns when they are there, and
# sends what builds are to know, the lines of CROFT_ENVIRONMENT, as HOST at least.
do_auxiliary() {
  prepare_state
  prepare_machine
  offer_shells
  find_client
  await_start
  open_live_log
  join_group || return
  get auxiliary "$state/auxiliary" # a sign of life: services may take their time
  read_line "$state/auxiliary"
  heading "auxiliary machine '$first_line'"
  : > "$state/environment"
  [ -x "$auxiliary_script" ] || fail "this machine has no program $auxiliary_script"
  # shellcheck disable=SC2086
  (cd / && CROFT_NAME=$first_line CROFT_ADDRESS=$group_address CROFT_ENVIRONMENT=$state/environment LC_ALL=$build_locale \
    exec "$auxiliary_script") < /dev/null >&7 2>&1 || auxiliary_failed $? || return
  grep -q '^HOST=' "$state/environment" || [ -z "$group_address" ] || echo "HOST=$group_address" >> "$state/environment"
  put "$state/environment" auxiliary-environment || return
  heading "services are up"
  ! is_ours || while :; do sleep 3600; done
}

# Sets with_variables, the words before an operation that set what auxiliary machines have said: names come from the agent,
# which has checked them; "croft-worker with-variables" reads them.
group_variables() {
  with_variables=
  [ ! -f "$task/auxiliary-environment" ] || with_variables="$self with-variables"
}

# Runs a command with them.
run_with_variables() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in [A-Za-z_]*=*) set -- "$line" "$@" ;; esac
  done < "$task/auxiliary-environment"
  exec env "$@"
}

auxiliary_failed() {
  heading "$auxiliary_script failed with status $1"
  sleep 1 # the log has to get out
  false
}
