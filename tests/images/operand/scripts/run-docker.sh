#!/bin/sh
# Entry point of releases before 2.253.0: the verbs migrate, serve, run-task-processor
# and migrate-and-serve; anything else is a management command. Runs under `set -x`,
# as the real one does, so that logs carry its trace.
set -e

ACCESS_LOG_FORMAT=${ACCESS_LOG_FORMAT:-'%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'}

waitfordb() {
  if [ -z "${SKIP_WAIT_FOR_DB}" ]; then
    python manage.py waitfordb "$@"
  fi
}

separate_task_processor_db() {
  [ -n "$TASK_PROCESSOR_DATABASE_URL" ] || [ -n "$TASK_PROCESSOR_DATABASE_NAME" ]
}

migrate() {
  waitfordb
  python manage.py showmigrations --verbosity 2
  python manage.py migrate --verbosity 2
  python manage.py createcachetable
}

migrate_task_processor_db() {
  if separate_task_processor_db; then
    python manage.py migrate --database task_processor
  fi
}

serve() {
  waitfordb
  exec flagsmith start \
    --worker-tmp-dir /dev/shm \
    --timeout "${GUNICORN_TIMEOUT:-30}" \
    --workers "${GUNICORN_WORKERS:-3}" \
    --threads "${GUNICORN_THREADS:-2}" \
    --access-logfile "$ACCESS_LOG_LOCATION" \
    --access-logformat "$ACCESS_LOG_FORMAT" \
    --keep-alive "${GUNICORN_KEEP_ALIVE:-2}" \
    api
}

run_task_processor() {
  waitfordb --waitfor 30 --migrations
  if separate_task_processor_db; then
    waitfordb --waitfor 30 --migrations --database task_processor
  fi
  exec flagsmith start \
    --bind 0.0.0.0:8000 \
    --access-logfile "$ACCESS_LOG_LOCATION" \
    --access-logformat "$ACCESS_LOG_FORMAT" \
    task-processor \
    --sleepintervalms "${TASK_PROCESSOR_SLEEP_INTERVAL_MS:-${TASK_PROCESSOR_SLEEP_INTERVAL:-500}}" \
    --graceperiodms "${TASK_PROCESSOR_GRACE_PERIOD_MS:-20000}" \
    --numthreads "${TASK_PROCESSOR_NUM_THREADS:-5}" \
    --queuepopsize "${TASK_PROCESSOR_QUEUE_POP_SIZE:-10}"
}

set -x

case "$1" in
  migrate)
    migrate
    migrate_task_processor_db
    ;;
  serve)
    serve
    ;;
  run-task-processor)
    migrate
    migrate_task_processor_db
    run_task_processor
    ;;
  migrate-and-serve)
    migrate
    migrate_task_processor_db
    python manage.py bootstrap
    serve
    ;;
  *)
    python manage.py "$@"
    ;;
esac
