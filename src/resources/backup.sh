# Dumps the database of DATABASE_URL into the file "$0", which has its name only when it is whole and pg_restore reads
# it; what it holds is in the log. Then writes into the file "$1" which dumps of this installation there are, and removes
# those that are past the newest "$2" or older than "$3" days, where these are given. Command lines are
# public on a node (ps, records of every exec), so pg_dump gets the password in its environment; everything else of the
# URL is its argument, which libpq reads.
umask 077
LC_ALL=C # characters are bytes
unset PGPASSWORD
refuse() {
  echo "DATABASE_URL cannot be given to pg_dump: $1" >&2
  exit 1
}
# decode TEXT: without percent-encoding, in $decoded. What is no encoding stays as it is, as Flagsmith reads it.
decode() {
  decoded='' left=$1
  while :; do
    case $left in *"%"[0-9A-Fa-f][0-9A-Fa-f]*) ;; *) break ;; esac
    before=${left%%"%"[0-9A-Fa-f][0-9A-Fa-f]*}
    code=${left#"$before%"}
    left=${code#??}
    # The dot keeps a newline at the end, which the shell would remove.
    byte=$(printf "\\$(printf %03o "0x${code%"$left"}").")
    decoded=$decoded$before${byte%.}
  done
  decoded=$decoded$left
}
password() {
  decode "$1"
  export PGPASSWORD="${PGPASSWORD-$decoded}"
}
case $DATABASE_URL in *://*) ;; *) refuse 'it is no URL' ;; esac
rest=${DATABASE_URL#*://}
server=${rest%%[/?#]*}
rest=${rest#"$server"}
# What of it is the password would be a guess.
case $rest in *@*) refuse 'it has an "@" after the host; in a password, / ? # @ are written %2F %3F %23 %40' ;; esac
case $server in
  *@*)
    login=${server%@*}
    case $login in *:*) password "${login#*:}" ;; esac
    # libpq ends the role at the first "@".
    server=$(printf %s "${login%%:*}" | sed 's/@/%40/g')@${server##*@}
    ;;
esac
name=${rest%%"?"*}
rest=${rest#"$name"}
# Flagsmith reads "+" as a space, libpq does not.
rest=$(printf %s "${rest#"?"}" | sed 's/+/%20/g')
options=''
while [ -n "$rest" ]; do
  option=${rest%%"&"*}
  rest=${rest#"$option"}
  rest=${rest#"&"}
  decode "${option%%=*}"
  case $decoded in
    password) password "${option#*=}" ;;
    # libpq has no variable for it.
    sslpassword) refuse 'it has an sslpassword; use spec.migrations.backup.podTemplate' ;;
    *) options=$options${options:+&}$option ;;
  esac
done
pg_dump --format=custom --file="$0.partial" --dbname="postgresql://$server$name${options:+?$options}" &&
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
