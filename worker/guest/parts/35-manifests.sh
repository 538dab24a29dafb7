# --- Values of manifests --------------------------------------------------------------------------------------

# Sets value to one of the task's, without newlines at its end; status 1 if the task has none of this name.
field() {
  value=
  [ -f "$task/$1" ] || return
  read_text "$task/$1"
  value=$text
  while [ "$value" != "${value%"$newline"}" ]; do value=${value%"$newline"}; done
}

# Writes a pair; logs are written by put_operations.
put_value() {
  case $2 in
    '') printf '%s:\n' "$1" ;;
    *"$newline"* | ' '* | *' ' | "$tab"* | *"$tab")
      printf '%s:\n\\\n' "$1"
      printf '%s\n' "$2" | sed 's/\\$/&\\/'
      printf '\\\n'
      ;;
    *\\) printf '%s: %s\\\n' "$1" "$2" ;;
    *) printf '%s: %s\n' "$1" "$2" ;;
  esac
}
