# Reads a manifest, writes each value to a file of its name in directory "to"; values of a repeated name become
# lines of one file. For lines that end in "\" see the ending rule of the format.
function pair() {
  if (name ~ /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/) {
    file = to "/" name
    printf "%s%s", (name in seen ? "\n" : ""), value > file
    seen[name]
  }
  mode = ""; value = ""; joined = 0; real = ""
}
function bad(why) { print "line " NR ": " why; failed = 1; exit 1 }
# The text of a line without its ending backslash; "ends" tells whether the line is followed by a real newline.
function unescape(s) {
  ends = 1
  if (s !~ /\\$/) return s
  if (s !~ /\\\\$/) ends = 0
  return substr(s, 1, length(s) - 1)
}
function simple(s) {
  if (joined && s == "\\") { value = value "\n"; joined = 0; fixed = length(value); return }
  value = value unescape(s); joined = !ends
  if (ends) finish_simple()
}
function finish_simple() {
  while (length(value) > fixed && value ~ /[ \t]$/) value = substr(value, 1, length(value) - 1)
  pair()
}
function multi(s) {
  if (s == "\\") { pair(); return }
  value = value real unescape(s); real = ends ? "\n" : ""
}
function line(s) {
  if (done) return
  if (mode == "simple") { simple(s); return }
  if (mode == "multi") { multi(s); return }
  if (mode == "empty") {
    if (s == "\\") { mode = "multi"; return }
    pair()
  }
  sub(/^[ \t]+/, "", s)
  if (s == "" || s ~ /^#/) return
  if (!match(s, /^[^: \t]*[ \t]*:/)) bad("no colon after a name")
  name = substr(s, 1, RLENGTH - 1); sub(/[ \t]+$/, "", name)
  s = substr(s, RLENGTH + 1); sub(/^[ \t]+/, "", s)
  if (!started) { if (name != "" || s != "1") bad("no format version"); started = 1; return }
  if (name == "") { done = 1; return }
  fixed = 0
  if (s == "") mode = "empty"
  else if (s == "\\") mode = "multi"
  else { mode = "simple"; simple(s) }
}
{
  sub(/\r+$/, "")
  if (!index($0, "\r")) { line($0); next }
  n = split($0, parts, /\r+/)
  for (i = 1; i <= n; i++) line(parts[i])
}
END {
  if (failed) exit 1
  if (mode == "simple") finish_simple(); else if (mode != "") pair()
  if (!started) { print "empty"; exit 1 }
}
