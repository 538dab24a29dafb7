#!/bin/sh
# croft-worker: runs inside a build machine. Bootstraps it, or performs one task: gets the task manifest from the
# agent by TFTP, fetches the source, runs its operations, and puts the result manifest (docs: worker).
# Needs a POSIX shell (dash, busybox ash, bash) and what a small Linux guest has; what is not in PATH is taken
# from busybox.
#
# The agent reads the version from the next line, with the expression ^croft_worker_version="([^"]+)"$
croft_worker_version="1.7.0"

set -u
umask 022
export TZ="${TZ:-UTC}"
build_locale=${LC_ALL:-C.UTF-8}
export LC_ALL=C # bytes are bytes, and messages are as expected
for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
  case :${PATH:=/bin}: in *:$directory:*) ;; *) PATH=$PATH:$directory ;; esac
done
export PATH
# The kernel gives its first process "/", and that one hands it on.
if [ "${HOME:-/}" = / ] && [ -d /root ]; then export HOME=/root; fi

installed=/usr/lib/croft/croft-worker
auxiliary_script=/etc/croft/auxiliary
state=/run/croft # a tmpfs of its own: logs and result survive a build that fills the disk
work=/var/lib/croft/work
log_limit_kib=1024 # of each operation's log, half of it for the beginning and half for the end
# An image, or a bootstrap script, may set log_limit_kib and work here.
# shellcheck source=/dev/null
[ ! -r /etc/croft/worker.conf ] || . /etc/croft/worker.conf

task=$state/task
source=$work/source
build=$work/build
stage=$work/stage
upload=$work/upload
half_blocks=$((log_limit_kib / 8 + (log_limit_kib < 8))) # of 4 KiB
chunk_blocks=$((half_blocks > 1024 ? half_blocks / 16 + 1 : 64)) # of 64 KiB; at least half the limit

# What other programs start must be a file too, hence links and no functions.
tools=/run/croft-tools
PATH=$PATH:$tools
for tool in awk cat chmod cp cut date dd find grep gzip head ip mkdir mount mv nproc readlink rm sed setsid sha256sum \
  sleep sort sync tail tar tee timeout tr umount uname unshare wc; do
  command -v "$tool" > /dev/null 2>&1 ||
    { busybox mkdir -p "$tools" && busybox ln -sf "$(command -v busybox)" "$tools/$tool"; }
done

say() { printf '%s\n' "croft-worker: $*" >&2; }

# A failure of the worker's own; in a task it becomes a result with the status "abnormal" and this reason.
fail() {
  say "$*"
  exit 70
}

has() { command -v "$1" > /dev/null 2>&1; }

# In a machine whose processor is emulated each program, and each subshell, costs milliseconds, and none of them is the
# build's. So what is asked for in every task is asked of the shell.
newline='
'
tab=${IFS#?} # blank, tab, newline: what every shell begins with
tab=${tab%?}

# Sets text to the content of a file, to the byte.
read_text() {
  text=
  while IFS= read -r text_line; do text=$text$text_line$newline; done < "$1"
  text=$text$text_line
}

# Sets first_line to that of a file, without blanks around it and zero bytes; empty if there is none.
read_line() {
  first_line=
  [ ! -r "$1" ] || { read -r first_line < "$1"; } 2> /dev/null || :
}

# Whether something is mounted on a directory; of a type, if one is given.
mounted() {
  while read -r _ place kind _; do
    if [ "$place" = "$1" ] && [ "${2:-$kind}" = "$kind" ]; then return; fi
  done < /proc/mounts
  false
}

# Sets port to the device of the virtio-serial port of a name; status 1 if there is none.
find_port() {
  for port in /sys/class/virtio-ports/*/name; do
    read_line "$port"
    [ "$first_line" = "$1" ] || continue
    port=${port%/name}
    port=/dev/${port##*/}
    return
  done
  false
}

# Sets uptime: whole seconds, which no clock that is set turns back.
read_uptime() {
  read_line /proc/uptime
  uptime=${first_line%%.*}
  uptime=${uptime:-0}
}
