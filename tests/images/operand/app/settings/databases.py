"""Database settings, read from the same variables and with the same precedence as Flagsmith's."""

import os
from typing import Any

import dj_database_url
from environs import Env

env = Env()

CONN_MAX_AGE = env.int("DJANGO_DB_CONN_MAX_AGE", 60)
if CONN_MAX_AGE == -1:
    CONN_MAX_AGE = 0  # Close after every request, since 2.188.0.
CONN_HEALTH_CHECKS = env.bool("DJANGO_DB_CONN_HEALTH_CHECKS", False)


def _by_url(url: str) -> dict[str, Any]:
    return dict(dj_database_url.parse(url, conn_max_age=CONN_MAX_AGE, conn_health_checks=CONN_HEALTH_CHECKS))


def _by_parts(prefix: str) -> dict[str, Any]:
    """All five variables are required: a missing one is a KeyError at start."""
    parts = {name: os.environ[f"{prefix}{name}"] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": CONN_MAX_AGE,
        "CONN_HEALTH_CHECKS": CONN_HEALTH_CHECKS,
        **parts,
    }


def databases() -> dict[str, dict[str, Any]]:
    """Return Django's DATABASES: `default`, and `task_processor` where a separate one is set."""
    found: dict[str, dict[str, Any]] = {}
    if "DATABASE_URL" in os.environ:
        found["default"] = _by_url(os.environ["DATABASE_URL"])
    elif "DJANGO_DB_NAME" in os.environ:
        found["default"] = _by_parts("DJANGO_DB_")
    if url := env.str("TASK_PROCESSOR_DATABASE_URL", ""):
        found["task_processor"] = _by_url(url)
    elif env.str("TASK_PROCESSOR_DATABASE_NAME", ""):
        found["task_processor"] = _by_parts("TASK_PROCESSOR_DATABASE_")
    return found
