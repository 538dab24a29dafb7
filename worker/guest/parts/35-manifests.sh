# --- Values of manifests --------------------------------------------------------------------------------------

field() { cat "$task/$1" 2> /dev/null; }

# Writes a pair; the text of a log that has gone through clean_log is written by put_log instead.
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
newline='
'
tab=$(printf '\t')

put_log() {
  if [ -s "$2" ]; then
    printf '%s:\n\\\n' "$1"
    cat "$2"
    printf '\\\n'
  else
    printf '%s:\n' "$1"
  fi
}
