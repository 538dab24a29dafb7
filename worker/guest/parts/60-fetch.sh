# --- Fetching -------------------------------------------------------------------------------------------------

# Leaves the source in $source, its commit or digest in $state/identity, and its version, if it can tell, in
# $state/version.
fetch() {
  field repository-url
  url=$value
  field version
  version=$value
  field repository-type
  type=$value
  if [ -z "$type" ]; then
    case $url in
      *'#'* | *.git | *.git/ | git:* | ssh:* | git+*) type=git ;;
      *://*) type=pkg ;;
      *) type=git ;;
    esac
  fi
  { [ -d "$work" ] || mkdir -p "$work"; } && cd "$work" || return
  use_credentials
  # Other workers look at these; nothing that is asked for is passed over without a word.
  field requires
  [ -z "$value" ] || echo "croft-worker: what the package requires is not looked at: $(printf '%s' "$value" | tr '\n' ' ')"
  field host
  [ "$value" != true ] || echo "croft-worker: 'host' makes no difference: all is built for this machine"
  case $url in tree:*) type=tree ;; esac
  case $type in
    tree) fetch_tree ;;
    git) fetch_git ;;
    pkg) fetch_archive ;;
    *)
      echo "croft-worker: cannot fetch a source of type '$type': git and pkg are supported"
      return 1
      ;;
  esac
}

# traced COMMAND…: shows it, but not user and password of a URL, and runs it.
traced() {
  case $* in
    *://*@*) printf '%s\n' "+ $*" | sed 's|://[^/?# ]*@|://***@|g' ;;
    *) echo "+ $*" ;;
  esac
  "$@"
}

# download URL: into the file "archive". Gives up on a server that has fallen silent (wget does so
# after 15 minutes; not with -T, of which some of busybox die).
download() {
  if [ -d "$state/secrets" ] && write_login; then
    has curl || { echo "croft-worker: curl is needed to log in to where the archive is" && return 1; }
    traced curl -K "$state/secrets/curl" -fsSL --retry 3 --connect-timeout 60 -Y 100 -y 120 -o archive "$1"
  elif has curl; then traced curl -fsSL --retry 3 --connect-timeout 60 -Y 100 -y 120 -o archive "$1"
  elif has wget; then traced wget -q -O archive "$1"
  else traced busybox wget -q -O archive "$1"; fi
}

fetch_archive() {
  case $url in
    *.tar.gz | *.tgz | *.tar.xz | *.tar.bz2 | *.tar | *.zip) download "$url" || return ;;
    *)
      field name
      url=${url%/}/$value-$version.tar.gz
      download "$url" || return
      ;;
  esac
  digest=$(sha256sum archive)
  digest=${digest%% *}
  echo "SHA-256 $digest"
  field trust
  trusted=
  [ -z "$value" ] || trusted=$(printf '%s\n' "$value" | tr -d ':' | tr 'A-F' 'a-f' | grep -x '[0-9a-f]\{64\}')
  if [ -n "$trusted" ] && ! printf '%s\n' "$trusted" | grep -q -x "$digest"; then
    echo "croft-worker: the checksum differs from the trusted one, $trusted"
    return 1
  fi
  mkdir unpacked || return
  case $url in
    *.tar.gz | *.tgz) traced tar -C unpacked -xzf archive ;;
    *.tar.xz) traced tar -C unpacked -xJf archive || busybox tar -C unpacked -xJf archive ;;
    *.tar.bz2) traced tar -C unpacked -xjf archive || busybox tar -C unpacked -xjf archive ;;
    *.tar) traced tar -C unpacked -xf archive ;;
    *) if has unzip; then traced unzip -q archive -d unpacked; else traced busybox unzip -q archive -d unpacked; fi ;;
  esac || return
  # The source is the archive's one directory, or else all of it. macOS adds things of its own.
  content=
  for name in unpacked/* unpacked/.*; do
    case ${name#unpacked/} in . | .. | '*' | '.*' | ._* | __MACOSX) ;; *) content=$content${content:+$newline}$name ;; esac
  done
  if [ -d "$content" ]; then mv "$content" "$source"; else mv unpacked "$source"; fi || return
  rm -rf "$work/archive" "$work/unpacked"
  echo "$digest" > "$state/identity"
}

# A working tree that somebody has submitted: the agent has it, of whatever way it came.
fetch_tree() {
  echo "+ get the working tree from the agent"
  get tree.tar.gz archive || { echo "croft-worker: cannot get the working tree: $(cat "$state/tftp")" && return 1; }
  mkdir "$source" && traced tar -C "$source" -xzf archive || return
  digest=$(sha256sum archive)
  rm -f archive
  echo "${digest%% *}" > "$state/identity"
  case $url in
    *'#'*)
      commit=${url#*'#'}
      echo "${commit%+changes}" > "$state/commit"
      echo "==> commit: ${commit%+changes}"
      [ "$commit" = "${commit%+changes}" ] || echo "==> with changes that are in no commit"
      ;;
  esac
  [ -e "$source/.git" ] || echo "croft-worker: the working tree came without .git: git tells nothing of it"
}

# The version of the task, or what the source says, or 0.
resolved_version() {
  field version
  found=$value
  if [ "${found:-0}" = 0 ]; then
    found=$({
      version_in "$state/version" 's/^/&/p'
      version_in "$source/configure" "s/^PACKAGE_VERSION='\(.*\)'$/\1/p"
      version_in "$build/CMakeCache.txt" 's/^CMAKE_PROJECT_VERSION:STATIC=//p'
      version_in "$source/Cargo.toml" 's/^version *= *"\(.*\)".*/\1/p'
      version_in "$source/package.json" 's/^ *"version": *"\(.*\)".*/\1/p'
    } 2> /dev/null)
    found=${found%%"$newline"*}
  fi
  echo "${found:-0}"
}

version_in() { [ ! -e "$1" ] || sed -n "$2" "$1" | grep -x '[0-9][0-9A-Za-z.+~_-]*'; }
