"""The switches that bring a healthy operand into trouble, each seen to do what it says."""

import http.client
import threading
from collections.abc import Callable

from .checks import Database
from .container import Container, eventually

RELEASE, OLDER = "2.265.0", "2.260.0"
# Short enough for a test, and longer than a busy machine delays a worker's heartbeat.
WORKER_TIMEOUT_SECONDS = 4


def views(database: Database) -> None:
    """Slow, allocating, failing, crashing and blocking requests."""
    name = "views"
    database.create(name)
    database.succeed(RELEASE, name, ["migrate"])
    arguments = ["start", "--timeout", str(WORKER_TIMEOUT_SECONDS), "--threads", "2", "api"]
    api = database.run(RELEASE, name, arguments, env={"LOG_FORMAT": "json"})
    api.await_http("/health/liveness/")

    # A slow request is no reason for a threaded worker to be killed.
    patient = threading.Thread(target=lambda: api.request("GET", f"/testbed/slow?seconds={WORKER_TIMEOUT_SECONDS + 2}"))
    patient.start()
    assert api.request("GET", "/testbed/slow-query?seconds=0.5")[0] == 200
    assert '"allocated": 64' in api.request("GET", "/testbed/allocate?mb=64")[1]
    assert api.request("GET", "/testbed/error")[0] == 500
    eventually("the error's traceback is logged", lambda: "RuntimeError: told to fail" in api.log)
    patient.join()
    assert "WORKER TIMEOUT" not in api.log, api.log[-3000:]

    _cut_off(lambda: api.request("GET", "/testbed/crash?signal=KILL"))
    eventually("the killed worker is logged", lambda: "was sent SIGKILL! Perhaps out of memory?" in api.log)
    assert "WORKER TIMEOUT" not in api.log
    api.await_http("/health/liveness/")
    _cut_off(lambda: api.request("GET", f"/testbed/hog?seconds={3 * WORKER_TIMEOUT_SECONDS}"))
    eventually("the blocked worker is noticed", lambda: "WORKER TIMEOUT" in api.log)
    eventually("and killed", lambda: api.log.count("was sent SIGKILL!") == 2)
    api.await_http("/health/liveness/")
    assert api.stop() == 0, api.log[-3000:]


def _cut_off(request: Callable[[], object]) -> None:
    try:
        answer = request()
    except (OSError, http.client.HTTPException):
        return
    raise AssertionError(f"the worker was to die before it answers, but: {answer}")


def tasks(database: Database) -> None:
    """Failing tasks, an unknown one that poisons its batch, and a recurring one that is switched off."""
    name = "tasks"
    database.create(name)
    database.succeed(RELEASE, name, ["migrate"])
    api = database.run(RELEASE, name, ["start", "api"], env={"TASK_RUN_METHOD": "TASK_PROCESSOR"})
    api.await_http("/health/liveness/")

    def enqueue(task: str, value: str = "1") -> None:
        assert api.request("POST", f"/testbed/enqueue?task={task}&value={value}")[0] == 202, task

    def count(where: str) -> int:
        return int(database.query(name, f"SELECT count(*) FROM task_processor_task WHERE {where}"))

    def processor(release: str, **env: str) -> Container:
        started = database.run(release, name, ["start", "task-processor"], env=env)
        started.await_http("/health/liveness/")
        return started

    assert api.request("POST", "/testbed/enqueue?task=none")[0] == 404
    enqueue("deliver")
    older = processor(OLDER)
    eventually("the older release leaves the unknown task locked", lambda: count("is_locked AND NOT completed") == 1)
    eventually("and says so", lambda: "No task registered with identifier" in older.log)
    assert older.stop() == 0, older.log[-3000:]
    database.query(name, "UPDATE task_processor_task SET is_locked = false")

    enqueue("fail")
    enqueue("overrun", "2")
    enqueue("slow", "0.1")
    current = processor(RELEASE, TESTBED_FAILING_RECURRING_TASK="1")
    eventually("good tasks are executed", lambda: count("completed") == 2)
    eventually("failing tasks are given up", lambda: count("num_failures = 3 AND NOT completed") == 2)
    disabled = "SELECT is_disabled FROM task_processor_recurringtask WHERE task_identifier = 'tasks.push_usage'"
    eventually("the failing recurring task is switched off", lambda: database.query(name, disabled) == "t")
    assert current.stop() == 0, current.log[-3000:]
    assert api.stop() == 0, api.log[-3000:]


def migrations(database: Database) -> None:
    """A lock that is waited for, an index left invalid, a way back, and its end."""
    name = "migrations"
    database.create(name)
    database.succeed(OLDER, name, ["migrate"])
    moment = database.query(name, "SELECT now() AT TIME ZONE 'utc'").replace(" ", "T")

    url = f"postgresql://flagsmith@%2Fvar%2Frun%2Fpostgresql/{name}?options=-c%20lock_timeout%3D500"
    lock = "BEGIN; LOCK TABLE testbed_result; SELECT pg_sleep(30)"
    psql = ["psql", "-U", "flagsmith", "-d", name, "-Xc", lock]
    blocker = threading.Thread(target=lambda: database.container.execute(*psql))
    blocker.start()
    locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'testbed_result'::regclass"
    eventually("the table is locked", lambda: database.query(name, locked) == "1")
    waiting = database.run(RELEASE, name, ["migrate"], env={"DATABASE_URL": url})
    assert waiting.wait() == 1 and "canceling statement due to lock timeout" in waiting.log, waiting.log[-3000:]
    database.query(name, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'")
    blocker.join()

    database.query(name, "INSERT INTO testbed_result (task, value, release, created_at, key) SELECT 't', '', '', now(), 'k' FROM generate_series(1, 2)")
    conflict = database.run(RELEASE, name, ["migrate"])
    assert conflict.wait() == 1 and 'could not create unique index "testbed_result_key"' in conflict.log, conflict.log[-3000:]
    database.succeed(RELEASE, name, ["migrate"])
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'testbed_result_key'::regclass"
    assert database.query(name, valid) == "f", database.query(name, "SELECT app, name FROM django_migrations")

    database.succeed(RELEASE, name, ["rollbackmigrationsappliedafter", moment])
    undone = database.run(RELEASE, name, ["migrate", "--check"])
    assert undone.wait() == 1, undone.log[-3000:]
    database.succeed(OLDER, name, ["migrate", "--check"])
    irreversible = database.run(OLDER, name, ["migrate", "testbed", "0002"])
    assert irreversible.wait() == 1 and "is not reversible" in irreversible.log, irreversible.log[-3000:]


def separate_database(database: Database) -> None:
    """An empty second database cannot be migrated with the whole verb."""
    name, other = "main", "tasks-apart"
    database.create(name)
    database.create(other)
    url = f"postgresql://flagsmith@%2Fvar%2Frun%2Fpostgresql/{other}"
    apart = database.run(RELEASE, name, ["migrate"], env={"TASK_PROCESSOR_DATABASE_URL": url})
    missing = "column users_ffadminuser.organisation_id does not exist"
    assert apart.wait() == 1 and missing in apart.log, apart.log[-3000:]
