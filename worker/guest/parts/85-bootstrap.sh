# --- Bootstrap ------------------------------------------------------------------------------------------------

# Installs this script, runs the toolchain's bootstrap script, if there is one, and reports the versions. The script
# gets more files with "$CROFT_WORKER get NAME FILE", and writes lines "<component> <version>" to $CROFT_COMPONENTS.
do_bootstrap() {
  prepare_state
  prepare_machine
  offer_shells
  open_live_log
  { mkdir -p "${installed%/*}" && cp "$self" "$installed.new" && chmod 755 "$installed.new" &&
    mv "$installed.new" "$installed"; } || fail "cannot install $installed"
  export CROFT_WORKER="$installed" CROFT_COMPONENTS="$state/components"
  : > "$CROFT_COMPONENTS"
  if is_auxiliary; then # the toolchain is none of its business
    [ -x "$auxiliary_script" ] || fail "this auxiliary machine has no program $auxiliary_script"
    found=2
  else
    get bootstrap "$state/bootstrap"
    found=$?
  fi
  case $found in
    0)
      heading bootstrap
      chmod 755 "$state/bootstrap"
      (cd / && exec "$state/bootstrap") < /dev/null >&7 2>&1 || fail "the bootstrap script failed with status $?"
      ;;
    2) ;;
    *) exit 1 ;;
  esac
  {
    echo ': 1'
    put_value croft-version "$croft_worker_version"
    # Of a component that is named twice the last version counts.
    awk '
      NF && $1 != "croft" { if (!($1 in version)) name[++n] = $1; version[$1] = $2 }
      END { for (i = 1; i <= n; i++) print name[i], version[name[i]] }' "$CROFT_COMPONENTS" |
      while read -r component version; do
        # The agent reads semantic versions: 12 is 12.0.0.
        case $version in *.*.*) ;; *.*) version=$version.0 ;; *) version=$version.0.0 ;; esac
        if printf '%s %s\n' "$component" "$version" | grep -q -E \
          '^[A-Za-z0-9_.+-]+ (0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$'; then
          put_value "$component-version" "$version"
        elif [ -n "$component" ]; then
          heading "component '$component': '$version' is no semantic version, left out"
        fi
      done
  } > "$state/bootstrap.manifest"
  sync
  put "$state/bootstrap.manifest" bootstrap.manifest
}
