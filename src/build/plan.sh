# Writes what a migration will do, in its order, into the termination message: how many, then their names. A failure is
# none: the migration itself will say what is wrong.
if flagsmith showmigrations --plan >/tmp/plan 2>/dev/null; then
  sed -n 's/^\[ \]  *\([^ ]*\).*/\1/p' /tmp/plan >/tmp/pending
  { wc -l </tmp/pending; head -c 3500 /tmp/pending; } >/dev/termination-log
fi
exit 0
