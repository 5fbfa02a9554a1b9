# Reads DATABASE_URL as Flagsmith does. Command lines are public on a node (ps, records of every exec), so a program of
# PostgreSQL gets the password in its environment, PGPASSWORD; everything else of the URL is its argument, $database, which
# libpq reads.
LC_ALL=C # characters are bytes
unset PGPASSWORD
refuse() {
  echo "DATABASE_URL cannot be given to libpq: $1" >&2
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
    sslpassword) refuse 'it has an sslpassword, which libpq takes on a command line only' ;;
    *) options=$options${options:+&}$option ;;
  esac
done
database="postgresql://$server$name${options:+?$options}"
