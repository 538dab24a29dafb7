# Picks the lines that look like errors and warnings out of numbered ones, "12:text"; after an empty line all do, as they
# match expressions of the task. Numbers are counted from "base"; what is after "last" is not looked at. The first "bound"
# of a kind are appended to files of its name; prints how many there are by now, "errors" and "warnings" before.
$0 == "" { chosen = 1; next }
{
  colon = index($0, ":")
  number = substr($0, 1, colon - 1) + 0
  if (number > last || number in seen) next
  text = substr($0, colon + 1, 500)
  if (chosen || text ~ /(^|: )[Ww]arning( [A-Z]+[0-9]+)?: / || text ~ /^CMake (Deprecation )?Warning/) {
    if (++warnings <= bound) print number + base, text >> (to ".warnings")
  } else if (text ~ /(^|[: ])([Ff]atal |internal )?[Ee]rror(\[[A-Z][0-9]+\]| [A-Z]+[0-9]+)?: / ||
    text ~ /: \*\*\* |: undefined reference to |^CMake Error|^\[?(ERROR|FATAL|FAIL|FAILED)([]:. ]|$)|^panic: |^Traceback /) {
    if (++errors <= bound) print number + base, text >> (to ".errors")
  } else next
  seen[number]
}
END { print errors + 0, warnings + 0 }
