# --- What a source is built with ------------------------------------------------------------------------------

# How each build system is known: a line for each, the first that fits counts. What generates another's files, or
# wraps it, stands before it; package.json lies in many a source that is something else, and debian/ in most of all.
known_systems='
debian     debian/source/format
cmake      CMakeLists.txt
meson      meson.build
perl       Makefile.PL Build.PL
autotools  configure configure.ac configure.in
python     pyproject.toml setup.py
make       Makefile makefile GNUmakefile
cargo      Cargo.toml
go         go.mod
maven      pom.xml
gradle     build.gradle build.gradle.kts settings.gradle settings.gradle.kts
dotnet     *.sln *.slnx *.csproj *.fsproj *.vbproj
cabal      cabal.project *.cabal
zig        build.zig
bazel      MODULE.bazel WORKSPACE.bazel WORKSPACE
ruby       *.gemspec Rakefile
r          DESCRIPTION
npm        package.json
debian     debian/rules
'

# Sets system to what the source is built with, and sign to the file that says so; both empty if nobody knows it.
find_system() {
  system='' sign='' rest=$known_systems
  while [ -n "$rest" ]; do
    set -f # the names are patterns, of files in the source
    # shellcheck disable=SC2086
    set -- ${rest%%"$newline"*}
    set +f
    system=${1:-} rest=${rest#*"$newline"}
    [ $# = 0 ] || shift
    for name; do
      for sign in "$source"/$name; do
        if [ -e "$sign" ] && means_it "$system" "${sign#"$source"/}"; then sign=${sign#"$source"/} && return; fi
      done
    done
  done
  system='' sign=''
}

# Whether a file is what it looks like: some names are used for other things, too.
means_it() {
  case $1-$2 in
    # Packaging of its own beside a source; a native package is built as what else it is.
    debian-debian/source/format) [ -e "$source/debian/rules" ] && grep -q quilt "$source/$2" ;;
    python-pyproject.toml) grep -q -E '^\[(build-system|project|tool\.poetry)\]' "$source/$2" ;;
    r-*) grep -q '^Package:' "$source/$2" ;;
  esac
}

# Says something in the log, under the operation's heading.
tell() {
  [ -n "$headed" ] || heading "$operation"
  headed=yes
  printf 'croft-worker: %s\n' "$*"
}

# Ends the operation with a failure that is the source's, or the machine's it was to be built in.
stop() {
  tell "$@"
  exit 1
}

# need PROGRAM...: the build system needs one of them. Beside an own .croft/update there is nothing that must be done.
need() {
  for program; do ! has "$program" || return 0; done
  [ ! -e .croft/update ] || absent
  tell "this source is built with $system (it has $sign), but this machine has no program '$1'"
  stop "Add it to the machine, or say in .croft/update how the source is built"
}

nothing_known() {
  tell "nobody knows how to build this source; looked for, in its top directory:"
  echo "  .croft/configure .croft/update .croft/test .croft/install"
  printf '%s' "$known_systems" | sed -n 's/^[a-z]*  */  /p' | sort -u
  echo "It has: $(find . .croft -maxdepth 1 ! -name . ! -path .croft 2> /dev/null | sed 's|^\./||' | sort | head -n 30 | tr '\n' ' ')"
  stop "An executable file .croft/update says how it is built"
}

# Sets own to the source's own program for the operation, if it has one; then it must be a program.
find_own_operation() {
  own=.croft/$operation
  if [ ! -e "$own" ] && [ ! -L "$own" ]; then own= && return; fi
  [ -f "$own" ] || stop "$own is no file"
  [ -x "$own" ] || stop "$own is not executable; 'chmod +x $own' makes it so, 'git update-index --chmod=+x $own' in git"
  first=
  read -r first < "$own" 2> /dev/null
  case $first in
    '#!'*[![:print:]])
      [ "$first" = "${first%"$(printf '\r')"}" ] ||
        stop "the first line of $own ends in a carriage return: it was saved with the line ends of Windows"
      ;;
  esac
}

# Whether the submission says itself how to build: its arguments are "croft-run" and a shell command, which is the operation
# update, in place of all that the source has (boss/farm/build-command.ts).
has_command() {
  field package-config
  case $value in 'croft-run '*) ;; *) return 1 ;; esac
}

# Whether the source has no operation $1, as build_step finds, too: to see it here saves dozens of programs that are started
# for each. What only the environment shows is left to that.
is_absent() {
  if has_command; then case $1 in fetch | update) return 1 ;; *) return 0 ;; esac; fi
  if [ "$1" = fetch ] || [ ! -d "$source" ] || [ -e "$source/.croft/$1" ] || [ -L "$source/.croft/$1" ]; then return 1; fi
  find_system
  [ -z "$system" ] || return
  [ "$1" = update ] || return 0
  for name in configure update test install; do [ ! -e "$source/.croft/$name" ] || return 0; done
  false
}

build_step() {
  find_system
  if [ -z "$system" ]; then
    [ "$operation" = update ] || absent
    for name in configure update test install; do [ ! -e ".croft/$name" ] || absent; done
    nothing_known
  fi
  jobs=$(nproc)
  prefix=/usr/local
  "${system}_step" "$@"
}

# Copies what there is of the files to the artifacts; without any, there is nothing to install.
deliver() {
  for file; do
    [ ! -f "$file" ] || { mkdir -p "$upload/artifact" && shown cp "$file" "$upload/artifact/"; } || return
  done
  [ -n "$headed" ] || absent
}
