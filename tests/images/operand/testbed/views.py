"""Views that bring an API process into trouble, or tell what happened. All answer JSON."""

import os
import signal
import time

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST
from task_processor.decorators import TaskHandler

from testbed import tasks
from testbed.memory import touched
from testbed.models import Result

MAX_SECONDS = 600.0
MAX_TASKS = 10_000
RANGE_PER_SAMPLE = 1_000_000
_kept: list[bytearray] = []


def _seconds(request: HttpRequest, default: float = 1.0) -> float:
    return max(0.0, min(float(request.GET.get("seconds", default)), MAX_SECONDS))


@require_GET
def slow(request: HttpRequest) -> JsonResponse:
    """Sleep in Python: other threads of the worker go on."""
    time.sleep(seconds := _seconds(request))
    return JsonResponse({"slept": seconds, "pid": os.getpid()})


@require_GET
def slow_query(request: HttpRequest) -> JsonResponse:
    """Wait for PostgreSQL, holding a connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds := _seconds(request)])
    return JsonResponse({"queried": seconds, "pid": os.getpid()})


@require_GET
def hog(request: HttpRequest) -> JsonResponse:
    """Burn CPU in one C call that never lets go of the interpreter lock.

    Neither the worker's heartbeat nor its signal handlers run meanwhile: longer than
    Gunicorn's timeout, the worker is aborted in vain and then killed. The sample is measured
    in CPU time: on a busy machine its wall time would be long, and the burning then too short.
    """
    started = time.perf_counter()
    sample_started = time.thread_time()
    sum(range(RANGE_PER_SAMPLE))
    sample = time.thread_time() - sample_started
    sum(range(int(RANGE_PER_SAMPLE * _seconds(request) / sample)))
    return JsonResponse({"burned": time.perf_counter() - started, "pid": os.getpid()})


@require_GET
def allocate(request: HttpRequest) -> JsonResponse:
    """Take `mb` megabytes of touched memory for `seconds`, or for good with `keep=1`."""
    memory = touched(int(request.GET.get("mb", 1)))
    if request.GET.get("keep"):
        _kept.append(memory)
    time.sleep(_seconds(request, default=0.0))
    return JsonResponse({"allocated": len(memory) >> 20, "kept": sum(map(len, _kept)) >> 20, "pid": os.getpid()})


@require_GET
def crash(request: HttpRequest) -> JsonResponse:
    """End the worker: by its exit status `status`, or by the signal that `signal` names (KILL, SEGV)."""
    if name := request.GET.get("signal"):
        os.kill(os.getpid(), signal.Signals[f"SIG{name.upper()}"])
        time.sleep(MAX_SECONDS)
    os._exit(int(request.GET.get("status", 1)))


@require_GET
def error(request: HttpRequest) -> JsonResponse:
    """Raise: a 500 with a traceback in the log, in a worker that lives on."""
    raise RuntimeError("told to fail")


@require_POST
def enqueue(request: HttpRequest) -> JsonResponse:
    """Enqueue the task `task` `count` times with the argument `value`."""
    name = request.GET.get("task", "write_result")
    handler = getattr(tasks, name, None)
    if not isinstance(handler, TaskHandler):
        return JsonResponse({"detail": f"no task is called {name}"}, status=404)
    count = max(1, min(int(request.GET.get("count", 1)), MAX_TASKS))
    made = [handler.delay(args=(request.GET.get("value", "1"),)) for _ in range(count)]
    return JsonResponse({"task": name, "enqueued": count, "ids": [task.id for task in made if task]}, status=202)


@require_GET
def results(request: HttpRequest) -> JsonResponse:
    """Count the executions of `task`, by the release that executed it."""
    found: dict[str, int] = {}
    for release in Result.objects.filter(task=request.GET.get("task", "write_result")).values_list("release", flat=True):
        found[release] = found.get(release, 0) + 1
    return JsonResponse({"executed": sum(found.values()), "by_release": found})
