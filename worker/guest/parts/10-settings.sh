#!/bin/sh
# croft-worker: runs inside a build machine. Bootstraps it, or performs one task: gets the task manifest from the
# agent by TFTP, fetches the source, runs its operations, and puts the result manifest (docs: worker).
# Needs a POSIX shell (dash, busybox ash, bash) and what a small Linux guest has; what is not in PATH is taken
# from busybox.
#
# The agent reads the version from the next line, with the expression ^croft_worker_version="([^"]+)"$
croft_worker_version="1.3.0"

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
for tool in awk cat chmod cp cut date dd find grep gzip head mkdir mkfifo mount mv nproc readlink rm sed setsid sha256sum \
  sleep sort sync tail tar tee timeout tr uname unshare wc; do
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
