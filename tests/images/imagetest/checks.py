"""What must hold for the images; each function is one story told by real processes."""

import json
from pathlib import Path

from imagebuild.catalogue import images
from imagebuild.layers import RELEASES, numbers

from .container import Container, Runtime, eventually

IMAGES = images()
PASSWORD = "a p@ss/word"
TASKS = 3
# run-task-processor of these never executes a task.
BROKEN_SINCE, FIXED_IN = (2, 253, 0), (2, 260, 0)
GUNICORN = ["--timeout", "30", "--keep-alive", "75", "--graceful-timeout", "25", "--worker-tmp-dir", "/dev/shm"]


# What a migration can be told, and what PostgreSQL then says.
FAILURES = {
    "permission-denied": "permission denied for schema public",
    "duplicate-column": 'column "is_disabled" of relation "testbed_drift" already exists',
    "duplicate-table": 'relation "testbed_drift" already exists',
    "unique-violation": 'could not create unique index "testbed_conflict_key"',
    "not-null-violation": 'column "key" of relation "testbed_conflict" contains null values',
    "division-by-zero": "division by zero",
    "sleep:60": "canceling statement due to statement timeout",
}
KILLED = 128 + 9


class Database:
    """PostgreSQL from its image, reached by its socket: containers do not share a network."""

    def __init__(self, runtime: Runtime) -> None:
        self.socket = _folder(runtime.folder / "socket", 999)
        self.data = _folder(runtime.folder / "data", 999)
        self.runtime = runtime
        self.container = self.start()

    def start(self, uid: int = 999) -> Container:
        """Start it and wait for the real server: the one of the initialisation listens nowhere."""
        container = self.runtime.run(
            IMAGES["postgres"],
            ["postgres", "-c", "max_connections=50"],
            uid=uid,
            env={"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_USER": "flagsmith", "PGDATA": "/var/lib/postgresql/data/pgdata"},
            writable=["/tmp"],
            binds={"/var/run/postgresql": self.socket, "/var/lib/postgresql/data": self.data},
        )
        eventually("PostgreSQL accepts connections", lambda: self._ready(container))
        return container

    def _ready(self, container: Container) -> bool:
        assert container.running(), container.log
        return container.execute("pg_isready", "-h", "127.0.0.1", "-U", "postgres").returncode == 0

    def query(self, name: str, sql: str) -> str:
        done = self.container.execute("psql", "-U", "flagsmith", "-d", name, "-XAtc", sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def create(self, name: str) -> None:
        self.query("flagsmith", f'CREATE DATABASE "{name}"')

    def run(self, release: str, name: str, args: list[str], **options: object) -> Container:
        """Start the API image of a release on a database."""
        env = {
            "DATABASE_URL": f"postgresql://flagsmith@%2Fvar%2Frun%2Fpostgresql/{name}",
            "DJANGO_ALLOWED_HOSTS": "*",
            "DJANGO_SECRET_KEY": "test",
            "GUNICORN_WORKERS": "1",
            **options.pop("env", {}),  # type: ignore[dict-item]
        }
        image = IMAGES[f"flagsmith-api-{release}"]
        return self.runtime.run(image, args, env=env, binds={"/var/run/postgresql": self.socket}, **options)

    def succeed(self, release: str, name: str, args: list[str], **options: object) -> str:
        container = self.run(release, name, args, **options)
        assert container.wait() == 0, f"{release} {args}:\n{container.log[-3000:]}"
        return container.log


def _folder(path: Path, owner: int) -> Path:
    path.mkdir(mode=0o777)
    path.chmod(0o777)
    return path


def postgres(database: Database) -> None:
    """Settings by arguments, passwords asked for over TCP, fast shutdown, a second start, any uid."""
    container = database.container
    assert database.query("flagsmith", "SHOW max_connections") == "50"
    connect = ["psql", "-h", "127.0.0.1", "-U", "flagsmith", "-XAtc", "SELECT 1"]
    assert container.execute(*connect, PGPASSWORD=PASSWORD).stdout.strip() == "1"
    refused = container.execute(*connect, PGPASSWORD="wrong")
    assert "password authentication failed" in refused.stderr, refused.stderr
    assert container.stop() == 0, container.log
    database.container = database.start()
    eventually("the second start finds the data", lambda: "Skipping initialization" in database.container.log)
    other = database.runtime.run(
        IMAGES["postgres"], uid=12345, env={"POSTGRES_PASSWORD": PASSWORD, "PGDATA": "/tmp/data"},
        writable=["/tmp", "/var/run/postgresql"],
    )  # fmt: skip
    eventually("PostgreSQL runs as a uid without an account", lambda: database._ready(other))
    assert other.stop() == 0, other.log
    bare = database.runtime.run(IMAGES["postgres"], env={"PGDATA": "/tmp/data"}, writable=["/tmp"], uid=999)
    assert bare.wait() == 1 and "superuser password is not specified" in bare.log, bare.log


def release_story(database: Database, release: str) -> None:
    """One release from an empty database to executed tasks."""
    name = f"story-{release}"
    database.create(name)

    early = database.run(release, name, ["start", "api"], command=["flagsmith"])
    assert early.wait() != 0, "the API must not start on an empty database"
    assert 'relation "users_ffadminuser" does not exist' in early.log, early.log[-3000:]

    database.succeed(release, name, ["waitfordb"])
    output = database.succeed(release, name, ["migrate"])
    traced = "+ python manage.py migrate --verbosity 2" in output
    assert traced == (RELEASES[release]["entrypoint"] == "script"), output[:500]
    database.succeed(release, name, ["migrate", "--check"], command=["flagsmith"])
    plan = database.succeed(release, name, ["showmigrations"])
    last = f"[X] {int(str(RELEASES[release]['last_migration'])):04}"
    assert last in plan and "[ ]" not in plan, plan

    api = database.run(
        release, name, ["start", *GUNICORN, "api"], command=["flagsmith"],
        env={"TASK_RUN_METHOD": "TASK_PROCESSOR", "PROMETHEUS_ENABLED": "true"},
    )  # fmt: skip
    api.await_http("/health/liveness/")
    _check_api(api, release)
    _check_tasks(database, api, release, name)
    assert api.stop() == 0, api.log[-3000:]


def _check_api(api: Container, release: str) -> None:
    assert api.execute("flagsmith", "healthcheck", "tcp").returncode == 0
    status, _, headers = api.request("GET", "/api/v1/flags/")
    assert (status, headers["Flagsmith-Version"]) == (403, release), (status, headers)
    assert api.request("GET", "/api/v1/flags/", X_Environment_Key="x")[0] == 200
    assert api.request("POST", "/api/v1/identities/", X_Environment_Key="x")[0] == 200
    assert api.request("GET", "/api/v1/environment-document/", X_Environment_Key="x")[0] == 403
    assert api.request("GET", "/api/v1/environment-document/", X_Environment_Key="ser.testbed")[0] == 200
    status, body, _ = api.request("GET", "/health/readiness/?format=json")
    assert status == 200 and '"MigrationsHealthCheck": "working"' in body, body
    assert f'"image_tag": "{release}"' in api.request("GET", "/version/")[1]
    assert f'version="{release}"' in api.request("GET", "/metrics", port=9100)[1]


def _check_tasks(database: Database, api: Container, release: str, name: str) -> None:
    def enqueue() -> None:
        assert api.request("POST", f"/testbed/enqueue?task=write_result&count={TASKS}")[0] == 202

    def count(table: str, where: str) -> int:
        return int(database.query(name, f"SELECT count(*) FROM {table} WHERE {where}"))

    enqueue()
    if BROKEN_SINCE <= numbers(release) < FIXED_IN:
        broken = database.run(release, name, ["run-task-processor"])
        stuck = "is_locked AND NOT completed AND num_failures = 0"
        eventually("the broken release locks the tasks", lambda: count("task_processor_task", stuck) == TASKS)
        eventually("it logs why", lambda: "non-task-processor environment" in broken.log)
        assert broken.request("GET", "/health/readiness/?format=json")[0] == 200
        assert broken.request("GET", "/api/v1/flags/")[0] == 403, "it serves the whole API"
        assert broken.stop() == 0, broken.log[-3000:]
        assert count("testbed_result", "true") == 0 and count("task_processor_recurringtask", "true") == 0
        enqueue()
    elif RELEASES[release]["entrypoint"] == "script":
        verb = database.run(release, name, ["run-task-processor"])
        eventually("the script's verb executes tasks", lambda: count("testbed_result", "task = 'write_result'") == TASKS)
        assert verb.stop() == 0, verb.log[-3000:]
        database.query(name, "DELETE FROM testbed_result")
        enqueue()
    processor = database.run(release, name, ["start", "task-processor"], command=["flagsmith"])
    processor.await_http("/health/liveness/")
    written = f"task = 'write_result' AND release = '{release}'"
    eventually("enqueued tasks are executed", lambda: count("testbed_result", written) == TASKS)
    picked = "last_picked_at IS NOT NULL AND task_identifier = 'tasks.refresh_usage'"
    eventually("recurring tasks are picked", lambda: count("task_processor_recurringtask", picked) == 1)
    assert processor.request("GET", "/api/v1/flags/", X_Environment_Key="x")[0] == 404
    assert processor.stop() == 0, processor.log[-3000:]


def upgrade(database: Database, old: str = "2.260.0", new: str = "2.265.0") -> None:
    """The new release has pending migrations; one that is told to fails changes nothing."""
    name = "upgrade"
    database.create(name)
    database.succeed(old, name, ["migrate"])
    pending = database.run(new, name, ["migrate", "--check"])
    assert pending.wait() == 1, pending.log
    plan = database.succeed(new, name, ["showmigrations", "--plan"])
    assert "[ ]  testbed.0007_result_priority" in plan and "[ ]  testbed.0008_unique_result_key" in plan, plan

    url = f"postgresql://flagsmith@%2Fvar%2Frun%2Fpostgresql/{name}?options=-c%20statement_timeout%3D2000"
    database.query(name, "CREATE TABLE testbed_misbehaviour (migration text, instruction text)")
    database.query(name, "INSERT INTO testbed_misbehaviour VALUES ('testbed.0007', '')")
    for instruction, words in FAILURES.items():
        database.query(name, f"UPDATE testbed_misbehaviour SET instruction = '{instruction}'")
        failing = database.run(new, name, ["migrate"], env={"DATABASE_URL": url})
        assert failing.wait() == 1 and words in failing.log, f"{instruction}:\n{failing.log[-3000:]}"
    database.query(name, "DELETE FROM testbed_misbehaviour")
    killed = database.run(new, name, ["migrate"], env={"TESTBED_MIGRATIONS": "testbed.0007=allocate:64;testbed.0007=kill"})
    assert killed.wait() == KILLED, killed.log[-3000:]
    applied = "SELECT count(*) FROM django_migrations WHERE app = 'testbed' AND name LIKE '0007%'"
    assert database.query(name, applied) == "0"

    database.succeed(new, name, ["migrate"])
    assert database.query(name, applied) == "1"
    database.succeed(old, name, ["migrate", "--check"])


def frontend(runtime: Runtime, release: str) -> None:
    """Routes, the answer when the API is away, and SIGTERM, which it does not react to."""
    env = {"FLAGSMITH_PROXY_API_URL": "http://127.0.0.1:8000"}
    container = runtime.run(IMAGES[f"flagsmith-frontend-{release}"], env=env, writable=[])
    container.await_http("/health", 8080)
    assert container.request("GET", "/health", 8080)[1] == "OK"
    assert "<!DOCTYPE html>" in container.request("GET", "/", 8080)[1]
    assert f'"image_tag":"{release}"' in container.request("GET", "/version", 8080)[1]
    status, body, _ = container.request("GET", "/api/v1/flags/?a=b", 8080)
    assert (status, body) == (504, "Error occurred while trying to proxy: 127.0.0.1:8080/api/v1/flags/?a=b"), (status, body)
    container.signal("TERM")
    assert container.request("GET", "/health", 8080)[0] == 200
    container.kill()


def edge_proxy(runtime: Runtime) -> None:
    """Alive and not ready while the API is away, which its log says; without keys it does not start."""
    pair = {"client_side_key": "client", "server_side_key": "ser.testbed"}
    env = {
        "environment_key_pairs": json.dumps([pair]),
        "API_URL": "http://127.0.0.1:9/api/v1",
        "API_POLL_FREQUENCY_SECONDS": "1",
        "SERVER": json.dumps({"timeout_keep_alive": 65, "port": 8000}),
        "LOGGING": json.dumps({"log_format": "json"}),
    }
    container = runtime.run(IMAGES["edge-proxy"], env=env, writable=[])
    container.await_http("/proxy/health/liveness", 8000)
    status, body, _ = container.request("GET", "/proxy/health/readiness", 8000)
    assert status == 503 and "environment document(s) not updated." in body, (status, body)
    status, body, _ = container.request("GET", "/api/v1/flags/", 8000)
    assert status == 401 and "unknown key" in body, (status, body)
    for words in ('"message": "error_fetching_document"', '"client_side_key": "client"', "httpx.ConnectError: All connection"):
        assert words in container.log, container.log
    container.kill()
    without = runtime.run(IMAGES["edge-proxy"], writable=[])
    assert without.wait() == 1 and "environment_key_pairs" in without.log, without.log


def toolbox(runtime: Runtime) -> None:
    container = runtime.run(IMAGES["toolbox"], writable=["/tmp"])
    eventually("the toolbox runs", lambda: container.execute("true").returncode == 0)
    for command in (["curl", "--version"], ["psql", "--version"], ["getent", "ahosts", "127.0.0.1"], ["python", "-V"]):
        done = container.execute(*command)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
    container.kill()
