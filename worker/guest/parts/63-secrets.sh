# --- Secrets of the build, and credentials for its repository ---------------------------------------------------

# What a build is given that nobody else may know comes by the control port, or is got once from the agent; its form stands in
# manifests/own/handed-secrets.ts. Credentials are for fetching alone: they are gone before anything of the build's own runs.
read_secrets() {
  field secrets || return 0
  [ -s "$state/secrets.manifest" ] || get secrets "$state/secrets.manifest" || fail "cannot get the build's secrets"
  (umask 077 && mkdir "$state/secrets") || fail "cannot make the directory $state/secrets"
  read_error=$(umask 077 && awk -v to="$state/secrets" "$read_manifest" "$state/secrets.manifest" 2>&1) ||
    fail "cannot read the build's secrets: $read_error"
  rm -f "$state/secrets.manifest"
  for file in "$state"/secrets/*-key "$state"/secrets/*-known-hosts; do
    [ ! -f "$file" ] || echo >> "$file" # ssh wants whole lines
  done
}

# Those that the task says, and secrets, which win.
export_variables() {
  for file in "$task"/variable-* "$state"/secrets/variable-*; do
    [ -f "$file" ] || continue
    read_text "$file"
    export "${file##*/variable-}=$text"
  done
}

# Has git and what it starts use the credentials, each at its own place only: a submodule may be anywhere.
use_credentials() {
  [ -f "$state/secrets/credential-1-url" ] || return 0
  export GIT_CONFIG_PARAMETERS="'credential.helper=' 'credential.helper=!$self git-credential' 'credential.usehttppath=true'"
  export GIT_SSH_COMMAND="$self git-ssh" GIT_SSH_VARIANT=ssh
}

# Sets credential to what the files of the one for a URL begin with; status 1 if there is none.
find_credential() {
  case $1 in *'/../'* | *'/..' | *%2[eE]*) return 1 ;; esac
  place=${1%/}
  place=${place%.git}
  for file in "$state"/secrets/credential-*-url; do
    [ -f "$file" ] || continue
    credential=${file%-url}
    read_line "$file"
    covered=$first_line
    read_line "$credential-scope"
    case $first_line-$place in
      *-"$covered" | *-"$covered".git/* | below-"$covered"/*) return ;;
    esac
  done
  false
}

# git-credential(1): what git asks for stands on standard input.
answer_git() {
  [ "${1:-}" = get ] || return 0
  protocol='' host='' path=''
  while IFS='=' read -r name value && [ -n "$name" ]; do
    case $name in protocol | host | path) eval "$name=\$value" ;; esac
  done
  find_credential "$protocol://$host/$path" && [ -f "$credential-password" ] || return 0
  read_line "$credential-user"
  read_text "$credential-password"
  printf 'username=%s\npassword=%s\n' "$first_line" "$text"
}

# ssh as git calls it: [-o OPTION] [-p PORT] [-4 | -6] [USER@]HOST COMMAND
connect_git() {
  port=''
  while :; do
    case ${1:-} in
      -p) port=$2 && shift 2 ;;
      -o) shift 2 ;;
      -*) shift ;;
      *) break ;;
    esac
  done
  path=${2#*\'}
  path=${path%\'}
  host=$1
  if find_credential "ssh://${host#*@}${port:+:$port}/${path#/}" && [ -f "$credential-key" ]; then
    read_line "$credential-user"
    case $host in *@*) ;; *) host=${first_line:+$first_line@}$host ;; esac
    exec ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o SendEnv=GIT_PROTOCOL \
      -o GlobalKnownHostsFile=/dev/null -o "UserKnownHostsFile=$credential-known-hosts" -i "$credential-key" \
      ${port:+-p "$port"} "$host" "$2"
  fi
  exec ssh -o BatchMode=yes -o SendEnv=GIT_PROTOCOL ${port:+-p "$port"} "$@"
}

# Options for curl that have it log in to where the archive lies; nothing of them can be read from its command line.
write_login() {
  field repository-url
  find_credential "${value%%'#'*}" && [ -f "$credential-password" ] || return 1
  read_line "$credential-user"
  read_text "$credential-password"
  printf 'user = "%s"\n' "$(printf '%s' "$first_line:$text" | sed 's/[\\"]/\\&/g')" > "$state/secrets/curl"
}
