"""Tasks of every kind that a task processor meets."""

import os
import time
from datetime import timedelta

from task_processor.decorators import register_recurring_task, register_task_handler

from app.release import release
from testbed.models import Result

MAX_SECONDS = 3600
NEW_TASK_SINCE = (2, 265, 0)


def record(task: str, value: str) -> None:
    """Leave a row that says which release executed the task."""
    Result.objects.create(task=task, value=value, release=".".join(map(str, release())))


@register_task_handler()
def write_result(value: str) -> None:
    record("write_result", value)


@register_task_handler()
def fail(value: str) -> None:
    raise RuntimeError(f"told to fail: {value}")


@register_task_handler(timeout=timedelta(seconds=MAX_SECONDS))
def slow(value: str) -> None:
    """Take `value` seconds, then record it."""
    time.sleep(min(float(value), MAX_SECONDS))
    record("slow", value)


@register_task_handler(timeout=timedelta(seconds=1))
def overrun(value: str) -> None:
    """Take `value` seconds, which is more than the task's timeout allows."""
    time.sleep(min(float(value), MAX_SECONDS))


if release() >= NEW_TASK_SINCE:
    # An older task processor does not know it: its whole batch stays locked.
    @register_task_handler()
    def deliver(value: str) -> None:
        record("deliver", value)


@register_recurring_task(run_every=timedelta(minutes=10))
def refresh_usage() -> None:
    record("refresh_usage", "")


if os.environ.get("TESTBED_FAILING_RECURRING_TASK"):
    # Four failures in a row switch a recurring task off (since 2.232.0).
    @register_recurring_task(run_every=timedelta(seconds=5))
    def push_usage() -> None:
        raise RuntimeError("told to fail")
