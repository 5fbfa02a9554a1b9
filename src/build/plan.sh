# Writes what a migration will do, in its order, into the termination message: how many, then their names. A database
# that was made a moment ago may not be reachable at once; any other failure the migration itself will name.
for _ in 1 2 3; do
  if flagsmith showmigrations --plan >/tmp/plan 2>/dev/null; then
    sed -n 's/^\[ \]  *\([^ ]*\).*/\1/p' /tmp/plan >/tmp/pending
    { wc -l </tmp/pending; head -c 3500 /tmp/pending; } >/dev/termination-log
    break
  fi
  sleep 1
done
exit 0
