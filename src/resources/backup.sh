# Dumps $database into the file "$0", which has its name only when it is whole and pg_restore reads it; what it holds is in
# the log. Then writes into the file "$1" which dumps of this installation there are, and removes those that are past the
# newest "$2" or older than "$3" days, where these are given.
umask 077
pg_dump --format=custom --file="$0.partial" --dbname="$database" &&
  pg_restore --list "$0.partial" && mv "$0.partial" "$0" || {
  status=$?
  rm -f "$0.partial"
  exit "$status"
}

# The backup is there. What follows tidies up and tells, and makes no failure of it.
told=${1:-/dev/null} count=${2-} days=${3-}
# past FILE: whether it is not to be kept; the one just made always is.
past() {
  [ "$1" != "$0" ] && {
    [ "$place" -gt "${count:-$place}" ] ||
      { [ -n "$days" ] && [ -n "$(find "$1" -mtime "+$((days - 1))")" ]; }
  }
}
# Jobs are named after ten hexadecimal digits: files of another installation are none of these.
x='[0-9a-f]'
place=0
for file in $(ls -t "${0%??????????.dump}"$x$x$x$x$x$x$x$x$x$x.dump); do
  place=$((place + 1))
  if past "$file" && rm -f "$file"; then
    echo "removed ${file##*/}: not to be kept any more" >&2
  # More than the operator remembers.
  elif [ "$place" -le 20 ]; then
    name=${file##*/}
    echo "${name%.dump} $(stat -c '%s %Y' "$file")"
  fi
done >"$told"
exit 0
