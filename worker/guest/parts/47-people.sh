# --- People: shells on the consoles, and breakpoints ----------------------------------------------------------

# Whether the machine is croft-init's, and not another init's that has programs on the consoles.
is_ours() {
  read_line /proc/1/cmdline
  case $first_line in *croft-init*) ;; *) false ;; esac
}

# Offers a shell on the serial console and on the screen (VNC) to whoever presses Enter there: for interactive builds,
# and for whoever looks into a machine that was suspended. Without a password, as whoever reaches a console of the
# machine has the machine. Under another init the consoles are its own, with the logins that the image gives them.
offer_shells() {
  is_ours || return 0
  read -r terminals < /sys/class/tty/console/active || return 0
  terminals=${terminals##* }
  [ "$terminals" != tty0 ] || terminals=tty1
  [ "$terminals" = hvc0 ] || [ ! -c /dev/hvc0 ] || terminals="$terminals hvc0"
  for terminal in $terminals; do
    while :; do
      # shellcheck disable=SC2016
      setsid -c sh -c 'read -r _ && exec "$0" shell' "$self" < "/dev/$terminal" > "/dev/$terminal" 2>&1 || sleep 5
    done 2> /dev/null &
  done
}

# What the offer is about, as "croft-worker shell".
open_shell() {
  field target
  target=$value
  field environment
  environment=/etc/croft/environments/${value:-default}
  { [ -f "$environment" ] && [ -x "$environment" ]; } || environment=
  stty rows 24 cols 80 sane 2> /dev/null
  echo "A shell of build machine $(hostname 2> /dev/null), as $(id -un 2> /dev/null || echo root); it ends with \"exit\"."
  cat "$state/breakpoint" 2> /dev/null
  cd "$source" 2> /dev/null || cd "$HOME" || cd /
  shell=/bin/sh
  ! has bash || shell=bash
  export TERM=vt100 LC_ALL="$build_locale"
  # The environment sets what the build sees, too.
  exec ${environment:+"$environment" "$target"} "$shell" -i
}

# Sets breakpoint and login from the task's "interactive": an operation, "error", "warning" or "none"; the rest is how
# to log in.
read_interactive() {
  field interactive
  breakpoint=$value
  login=
  case $breakpoint in *' '*) login=${breakpoint#* } ;; esac
  breakpoint=${breakpoint%% *}
}

# Stands still at a place until somebody removes the lock file.
stop_at() {
  {
    echo "The build stands still $1."
    [ -z "$login" ] || echo "To look into it: $login"
    echo "There, press Enter for a shell; the source is in $source."
    echo "To let the build go on: rm $state/breakpoint"
  } > "$state/breakpoint" || return 0
  while read -r line; do heading "$line"; done < "$state/breakpoint"
  while [ -e "$state/breakpoint" ]; do sleep 1; done
  heading "going on"
}
