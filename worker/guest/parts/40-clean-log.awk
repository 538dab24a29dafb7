# What standard input shows on a terminal, as lines of a manifest value: escape sequences removed, carriage
# returns and backspaces applied, "?" for everything that the format refuses, ending backslashes doubled. Ends with status 3 if what it
# prints may have a line with "arning".
BEGIN {
  ORS = ""
  for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i
}
!suspect && index($0, "arning") { suspect = 3 }
# Lines of ASCII, and of the accepted code points that most text is made of, need no second look.
$0 !~ /[^\t -~]/ || /^([\t -~]|[\303-\327][\200-\277]|[\343-\354][\200-\277][\200-\277]|\342\200[\220-\251]|\342[\202-\277][\200-\277]|\360\237[\200-\276][\200-\277])*$/ {
  print $0 ($0 ~ /\\$/ ? "\\\n" : "\n")
  next
}
{
  if ($0 ~ /[\010\r\033]/) suspect = 3
  n = split($0, part, "\r")
  while (n > 1 && part[n] == "") n--
  n = split(part[n], part, "\033")
  last = ""
  text(part[1])
  for (i = 2; i <= n; i++) text(after_escape(part[i]))
  print (last == "\\" ? "\\\n" : "\n")
}
END { exit suspect }
# Removes the rest of an escape sequence: a control sequence, a string up to BEL or the next escape, or a short one.
function after_escape(s,  j) {
  if (s ~ /^[]PX^_]/) { j = index(s, "\007"); return j ? substr(s, j + 1) : "" }
  if (match(s, "^\\[[0-?]*[ -/]*[@-~]") || match(s, "^[ -/]*[0-~]")) return substr(s, RLENGTH + 1)
  return s
}
function text(s,  n, k, c, start, size) {
  if (index(s, "\010")) {
    if (length(s) < 4096) while (sub(/[^\010]\010/, "", s)) { }
    gsub(/\010/, "", s)
  }
  if (s == "") return
  last = substr(s, length(s))
  if (s !~ /[^\t -~]/) { print s; return }
  n = length(s); start = 1
  for (k = 1; k <= n; ) {
    c = code[substr(s, k, 1)]
    if (c < 127 && c >= 32 || c == 9) { k++; continue }
    size = sequence(s, k, c)
    if (size > 0) { k += size; continue }
    print substr(s, start, k - start) "?"
    k += size < 0 ? -size : 1
    start = k
  }
  print substr(s, start)
}
# The length of the UTF-8 sequence at k; negative if its code point is refused, 0 if it is none.
function sequence(s, k, c,  size, point, j, d) {
  if (c < 128) return 0
  if (c < 194 || c > 244) return 0
  size = c < 224 ? 2 : c < 240 ? 3 : 4
  point = c - (size == 2 ? 192 : size == 3 ? 224 : 240)
  for (j = 1; j < size; j++) {
    d = k + j > length(s) ? 0 : code[substr(s, k + j, 1)]
    if (d < 128 || d > 191) return 0
    point = point * 64 + d - 128
  }
  if (point < (size == 3 ? 2048 : size == 4 ? 65536 : 128) || point > 1114111) return 0
  if (point >= 55296 && point <= 57343) return 0
  return refused(point) ? -size : size
}
# Control, format, private-use, noncharacter and reserved code points (Unicode 12, as the format freezes it).
function refused(p) {
  if (p < 160 || p == 173) return 1
  if (p < 1536) return 0
  if (p < 8192) return p <= 1541 || p == 1564 || p == 1757 || p == 1807 || p == 2274 || p == 6158
  if (p < 57344)
    return p >= 8203 && p <= 8207 || p >= 8234 && p <= 8238 || p >= 8288 && p <= 8303 && p != 8293
  if (p % 65536 >= 65534) return 1
  if (p < 65536) return p <= 63743 || p >= 64976 && p <= 65007 || p == 65279 || p >= 65529 && p <= 65531
  if (p >= 196608) return p < 917760 || p > 917999 # all but the variation selectors
  return p == 69821 || p == 69837 || p >= 78896 && p <= 78904 || p >= 113824 && p <= 113827 || p >= 119155 && p <= 119162
}
