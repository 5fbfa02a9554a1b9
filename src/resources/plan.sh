# Writes what a migration will do, in its order, into the termination message: how many, then their names. Waits for
# the database as the migration itself does: one that was made a moment ago is not reachable at once.

# Ends the attempt where something was killed: what this container has no memory for, or is not let do, the migration
# has not either. For the kubelet a container is out of memory when anything in it was killed for that, and unless its
# status says so too, the pod neither goes on nor ends.
go_on() {
  if [ "$1" -gt 128 ]; then exit "$1"; fi
  if grep -qs '^oom_kill [1-9]' /sys/fs/cgroup/memory.events; then exit 137; fi
}
flagsmith waitfordb >/tmp/plan.log 2>&1
go_on $?
# Which of them are squashed, and how many each replaces, is told by no command of Django's own.
flagsmith shell -c '
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
plan = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
squashed = ["%d:%d" % (place, len(it.replaces)) for place, it in enumerate(plan) if it.replaces]
print("= " + " ".join([str(len(plan))] + squashed))
for it in plan:
    print("= %s.%s" % (it.app_label, it.name))
' >/tmp/plan 2>>/tmp/plan.log
status=$?
go_on "$status"
if [ "$status" = 0 ]; then
  # Before the list a shell of Django 5.2 tells what it has imported.
  sed -n 's/^= //p' /tmp/plan | head -c 3500 >/dev/termination-log
else
  # The migration will fail of the same; this is for whoever asks why there is no list.
  tail -n 20 /tmp/plan.log
fi
exit 0
