# Writes what a migration will do, in its order, into the termination message: how many, then their names. Waits for
# the database as the migration itself does: one that was made a moment ago is not reachable at once.
flagsmith waitfordb >/tmp/plan.log 2>&1
if flagsmith showmigrations --plan >/tmp/plan 2>>/tmp/plan.log; then
  sed -n 's/^\[ \]  *\([^ ]*\).*/\1/p' /tmp/plan >/tmp/pending
  { wc -l </tmp/pending; head -c 3500 /tmp/pending; } >/dev/termination-log
else
  # The migration will fail of the same; this is for whoever asks why there is no list.
  tail -n 20 /tmp/plan.log
fi
exit 0
