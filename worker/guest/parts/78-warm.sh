# --- Waiting to be saved, and going on after that --------------------------------------------------------------

# A machine with a port org.croft.control is booted to be saved; its builds begin in copies of it. What goes through the
# port, and why, stands in agent/performing/handing/control-port.ts. Whatever keeps a machine from being saved leaves the port
# without a word.
await_start() {
  find_port org.croft.control || return 0
  { [ -c "$port" ] && write_waken; } || return 0
  exec 8<> "$port"
  if ! sees_copies; then
    echo "croft-control 3 refused kernel" >&8
    exec 8>&-
    return 0
  fi
  leave_network
  echo "croft-control 3 ready" >&8
  read -r control_word control_version control_verb control_address control_mac control_disks control_secrets group_mac group_network <&8
  [ "$control_word $control_version $control_verb" = "croft-control 3 start" ] || fail "the agent says '$control_word $control_version'"
  [ "$control_secrets" = 0 ] || (umask 077 && head -c "$control_secrets" <&8 > "$state/secrets.manifest")
  # Nothing comes before this: no name is made, and nothing is sent, with the randomness and the time of the others.
  "$state/waken" <&8 >&8 || fail "cannot set the clock and the random seed"
  exec 8>&-
  : > "$state/waken"
  is_ours || renew_boot_id
  [ "$control_mac" = - ] || join_network "$control_mac"
}

# Whether the kernel sees by itself that the machine is a copy, and draws other random numbers, before anything runs. QEMU has
# the device that tells it for this architecture alone.
sees_copies() {
  [ "$(uname -m)" = x86_64 ] || return 0
  for device in /sys/bus/*/drivers/vmgenid/*:*; do [ ! -e "$device" ] || return 0; done
  return 1
}

# An init that has read the kernel's number of this boot has fixed it for all copies; croft-init has not.
renew_boot_id() {
  rm -f /var/lib/systemd/random-seed
  read_line /proc/sys/kernel/random/uuid
  echo "$first_line" > "$state/boot-id"
  chmod 444 "$state/boot-id"
  mount --bind "$state/boot-id" /proc/sys/kernel/random/boot_id || fail "cannot renew the boot id"
}

# On a bridge each copy has an address of its own, and says nothing before it has it: nothing of a lease is saved. In QEMU's own
# network, where the agent is at 10.0.2.2, each copy is alone, and stays what it is.
leave_network() {
  locate_agent
  interface='' dhcp_client=''
  for directory in /sys/class/net/*; do
    [ -e "$directory/device" ] || continue
    interface=${directory##*/}
    break
  done
  if [ "$tftp_host" = 10.0.2.2 ] || [ -z "$interface" ]; then return; fi
  # Those that croft-init has started, as the first process or as a service.
  for directory in /proc/[0-9]*; do
    case $(tr '\0' ' ' < "$directory/cmdline") in
      *"udhcpc -i "*croft-init*) dhcp_client=udhcpc ;;
      *"dhclient $interface "*) dhcp_client=dhclient ;;
      *) continue ;;
    esac
    kill "${directory##*/}"
  done 2> /dev/null
  if [ -z "$dhcp_client" ] && is_ours; then dhcp_client=udhcpc; fi
  starter=$(command -v croft-init)
  leave_lease
  [ -n "$dhcp_client" ] || sleep 1 # the other init's network takes note
}

leave_lease() {
  ip link set "$interface" down
  ip -4 address flush dev "$interface"
  rm -f /var/lib/dhcp/dhclient*.leases /var/lib/dhclient/dhclient*.leases
}

# join_network MAC
join_network() {
  leave_lease
  ip link set "$interface" address "$1" || fail "cannot set the address of $interface"
  ip link set "$interface" up
  case $dhcp_client in
    udhcpc) busybox udhcpc -i "$interface" -s "$starter" -t 10 -T 1 -A 5 -b > /dev/null 2>&1 ;;
    dhclient) dhclient "$interface" ;;
    *) await_lease ;;
  esac
}

# The other init's network sees that the line is there again. How long that may take, the agent says.
await_lease() {
  until ip -4 address show dev "$interface" scope global | grep -q inet; do sleep 0.2 2> /dev/null || sleep 1; done
}

# Makes the program of worker/guest/waken for this machine; status 1 if there is none that runs.
write_waken() {
  case $(uname -m) in
    x86_64) waken=$waken_x86_64 ;;
    aarch64) waken=$waken_aarch64 ;;
    *) return 1 ;;
  esac
  # shellcheck disable=SC2059
  printf "$waken" > "$state/waken" && chmod 700 "$state/waken" && "$state/waken" < /dev/null > /dev/null
}
# shellcheck disable=SC2016
waken_x86_64='\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0>\0\1\0\0\0x\0@\0\0\0\0\0@\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0@\0008\0\1\0\0\0\0\0\0\0\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0@\0\0\0\0\0\0\0@\0\0\0\0\0J\1\0\0\0\0\0\0J\1\0\0\0\0\0\0\0\20\0\0\0\0\0\0H\201\354\200\0\0\0\270\1\0\0\0\277\1\0\0\0H\2155\254\0\0\0\272\1\0\0\0\17\0051\3331\3001\377H\2154\34\272P\0\0\0)\332\17\5\205\300\17\204\203\0\0\0x|\1\303\203\373Pu\336\270\343\0\0\0H\211\346\17\5\205\300ug\270\2\0\0\0H\215=h\0\0\0\276\2\0\0\0\17\5\205\300xP\211\303\270\1\0\0\0\211\337H\215t$\20\272@\0\0\0\17\5\203\370@u6\270\20\0\0\0\211\337\276\7R\0\0\17\5\205\300u$1\300H\211\346\272\40\0\0\0\17\5\203\370\40u\23\270\1\0\0\0\277\1\0\0\0\17\0051\377\203\370\40t\5\277\1\0\0\0\270<\0\0\0\17\5?/dev/urandom\0'
# shellcheck disable=SC2016
waken_aarch64='\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0x\0@\0\0\0\0\0@\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0@\0008\0\1\0\0\0\0\0\0\0\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0@\0\0\0\0\0\0\0@\0\0\0\0\0z\1\0\0\0\0\0\0z\1\0\0\0\0\0\0\0\20\0\0\0\0\0\0\377\3\2\321\40\0\200\322a\7\0\20\42\0\200\322\10\10\200\322\1\0\0\324\23\0\200\322\0\0\200\322\341\3\0\221!\0\23\213\2\12\200\322B\0\23\313\350\7\200\322\1\0\0\324\240\5\0\264`\5\370\267s\2\0\213\177B\1\361\241\376\377T\0\0\200\322\341\3\0\221\10\16\200\322\1\0\0\324`\4\0\265`\14\200\222\201\4\0000B\0\200\322\10\7\200\322\1\0\0\324\240\3\370\267\363\3\0\252\341C\0\221\2\10\200\322\10\10\200\322\1\0\0\324\37\0\1\361\301\2\0T\340\3\23\252\341@\212\322\2\0\200\322\250\3\200\322\1\0\0\324\0\2\0\265\340\3\23\252\341\3\0\221\2\4\200\322\350\7\200\322\1\0\0\324\37\200\0\361!\1\0T\40\0\200\322\341\3\0\221\2\4\200\322\10\10\200\322\1\0\0\324\37\200\0\361\0\0\200\322@\0\0T\40\0\200\322\250\13\200\322\1\0\0\324?/dev/urandom\0'
