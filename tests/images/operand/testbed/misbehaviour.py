"""Makes a migration slow or fail on demand.

What to do is read when the migration runs, from the environment and from a table:

    TESTBED_MIGRATIONS="testbed.0007=sleep:30;testbed.0008=duplicate-column"

    CREATE TABLE testbed_misbehaviour (migration text, instruction text);
    INSERT INTO testbed_misbehaviour VALUES ('testbed.0007', 'sleep:30');

The table may be made before the first migration. Every failure is PostgreSQL's own,
provoked by real statements.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.migrations.operations.base import Operation

from testbed.memory import touched

MAX_SECONDS = 3600
TABLE = "testbed_misbehaviour"
Cursor = Any


def sleep(cursor: Cursor, seconds: str) -> None:
    """In the database, so that statement_timeout and cancelling end it."""
    cursor.execute("SELECT pg_sleep(%s)", [min(float(seconds), MAX_SECONDS)])


def sleep_outside(cursor: Cursor, seconds: str) -> None:
    """In Python, with the transaction open."""
    time.sleep(min(float(seconds), MAX_SECONDS))


def lock(cursor: Cursor, table: str) -> None:
    """Wait for another transaction that holds a lock on the table."""
    cursor.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')


def permission_denied(cursor: Cursor, _: str) -> None:
    """Create a table as a role that may not: `permission denied for schema public`."""
    cursor.execute("CREATE ROLE testbed_powerless")
    cursor.execute("SET LOCAL ROLE testbed_powerless")
    cursor.execute("CREATE TABLE public.testbed_never (id integer)")


def duplicate_column(cursor: Cursor, _: str) -> None:
    cursor.execute("CREATE TABLE testbed_drift (id integer, is_disabled boolean)")
    cursor.execute("ALTER TABLE testbed_drift ADD COLUMN is_disabled boolean")


def duplicate_table(cursor: Cursor, _: str) -> None:
    cursor.execute("CREATE TABLE testbed_drift (id integer)")
    cursor.execute("CREATE TABLE testbed_drift (id integer)")


def unique_violation(cursor: Cursor, _: str) -> None:
    """`could not create unique index … Key (key)=(a) is duplicated.`"""
    cursor.execute("CREATE TABLE testbed_conflict AS SELECT 'a' AS key FROM generate_series(1, 2)")
    cursor.execute("CREATE UNIQUE INDEX testbed_conflict_key ON testbed_conflict (key)")


def not_null_violation(cursor: Cursor, _: str) -> None:
    cursor.execute("CREATE TABLE testbed_conflict AS SELECT NULL::text AS key")
    cursor.execute("ALTER TABLE testbed_conflict ALTER COLUMN key SET NOT NULL")


def division_by_zero(cursor: Cursor, _: str) -> None:
    cursor.execute("SELECT 1 / 0")


def allocate(_: Cursor, megabytes: str) -> None:
    """Take memory, then go on: over the container's limit the kernel kills it."""
    touched(int(megabytes))


def kill(_: Cursor, __: str) -> None:
    """Die without a word, with the status of SIGKILL: process 1 of a container cannot send itself that signal."""
    os._exit(128 + signal.SIGKILL)


BEHAVIOURS: dict[str, Callable[[Cursor, str], None]] = {
    "sleep": sleep,
    "sleep-outside": sleep_outside,
    "lock": lock,
    "permission-denied": permission_denied,
    "duplicate-column": duplicate_column,
    "duplicate-table": duplicate_table,
    "unique-violation": unique_violation,
    "not-null-violation": not_null_violation,
    "division-by-zero": division_by_zero,
    "allocate": allocate,
    "kill": kill,
}


def instructions(cursor: Cursor, migration: str) -> list[str]:
    """Return what this migration (`app.NNNN`) was told to do, the environment's first."""
    found = []
    for entry in filter(None, os.environ.get("TESTBED_MIGRATIONS", "").split(";")):
        name, _, instruction = entry.partition("=")
        if name.strip() == migration:
            found.append(instruction.strip())
    cursor.execute("SELECT to_regclass(%s)", [TABLE])
    if cursor.fetchone()[0] is not None:
        cursor.execute(f"SELECT instruction FROM {TABLE} WHERE migration = %s", [migration])
        found += [row[0] for row in cursor.fetchall()]
    return found


class Misbehave(Operation):
    """A migration operation that does what it is told, and nothing by default."""

    reversible = True
    reduces_to_sql = False

    def __init__(self, migration: str) -> None:
        self.migration = migration

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        connection = schema_editor.connection
        # In a transaction also where the migration has none, so that a failure leaves nothing.
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            for instruction in instructions(cursor, self.migration):
                name, _, argument = instruction.partition(":")
                if name not in BEHAVIOURS:
                    known = ", ".join(BEHAVIOURS)
                    raise ValueError(f"{self.migration} was told {instruction!r}; known are: {known}")
                BEHAVIOURS[name](cursor, argument)

    def database_backwards(self, *args: Any) -> None:
        pass

    def describe(self) -> str:
        return f"What the test told {self.migration}"
