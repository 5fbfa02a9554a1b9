"""Settings with the names and defaults of Flagsmith's own, for the parts that are here."""

from datetime import time, timedelta

from common.core import ReplicaReadStrategy
from django.core.management.utils import get_random_secret_key
from environs import Env
from task_processor.task_run_method import TaskRunMethod

from app.settings.databases import databases

env = Env()

DEBUG = env.bool("DEBUG", False)
# Without a key every process start makes its own, and sessions do not survive it.
SECRET_KEY = env.str("DJANGO_SECRET_KEY", get_random_secret_key())
ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", [])
CSRF_TRUSTED_ORIGINS = env.list("DJANGO_CSRF_TRUSTED_ORIGINS", [])
USE_X_FORWARDED_HOST = env.bool("USE_X_FORWARDED_HOST", False)
SECURE_SSL_REDIRECT = env.bool("DJANGO_SECURE_SSL_REDIRECT", False)

INSTALLED_APPS = [
    "common.core",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "core",
    "users",
    "organisations",
    "health_check",
    "health_check.db",
    "health_check.contrib.migrations",
    "task_processor",
    "testbed",
]
MIDDLEWARE = [
    "common.core.middleware.APIResponseVersionHeaderMiddleware",
    "common.gunicorn.middleware.RouteLoggerMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
AUTH_USER_MODEL = "users.FFAdminUser"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "/static/"

DATABASES = databases()
_separate = "task_processor" in DATABASES
DATABASE_ROUTERS = ["task_processor.routers.TaskProcessorRouter"] if _separate else []
FLAGSMITH_MIGRATE_DATABASES = list(DATABASES)
FLAGSMITH_WAIT_FOR_MIGRATIONS_DATABASES = list(DATABASES)
FLAGSMITH_STARTUP_COMMANDS = ["bootstrap"]
REPLICA_READ_STRATEGY = ReplicaReadStrategy.DISTRIBUTED

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Its table comes from createcachetable, which only the whole `migrate` verb runs.
    "environment-documents": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "environment-documents",
    },
}

# flagsmith-common sets logging up before Django is loaded.
LOGGING_CONFIG = None
LOG_FORMAT = env.str("LOG_FORMAT", "generic")
LOG_LEVEL = env.str("LOG_LEVEL", "WARNING")

EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
ALLOW_ADMIN_INITIATION_VIA_CLI = env.bool("ALLOW_ADMIN_INITIATION_VIA_CLI", False)
ADMIN_EMAIL = env.str("ADMIN_EMAIL", "admin@example.com")

PROMETHEUS_ENABLED = env.bool("PROMETHEUS_ENABLED", False)
PROMETHEUS_HISTOGRAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
DOCGEN_MODE = env.bool("DOCGEN_MODE", False)

TASK_PROCESSOR_MODE = env.bool("RUN_BY_PROCESSOR", False)
TASK_RUN_METHOD = env.enum(
    "TASK_RUN_METHOD",
    enum=TaskRunMethod,
    default=TaskRunMethod.TASK_PROCESSOR if TASK_PROCESSOR_MODE else TaskRunMethod.SEPARATE_THREAD,
)
TASK_PROCESSOR_DATABASES = env.list(
    "TASK_PROCESSOR_DATABASES",
    ["default", "task_processor"] if _separate else ["default"],
)
ENABLE_TASK_PROCESSOR_HEALTH_CHECK = env.bool("ENABLE_TASK_PROCESSOR_HEALTH_CHECK", False)
ENABLE_CLEAN_UP_OLD_TASKS = env.bool("ENABLE_CLEAN_UP_OLD_TASKS", True)
TASK_DELETE_RETENTION_DAYS = env.int("TASK_DELETE_RETENTION_DAYS", 30)
TASK_DELETE_BATCH_SIZE = env.int("TASK_DELETE_BATCH_SIZE", 2000)
TASK_DELETE_INCLUDE_FAILED_TASKS = env.bool("TASK_DELETE_INCLUDE_FAILED_TASKS", False)
TASK_DELETE_RUN_TIME = env.time("TASK_DELETE_RUN_TIME", time(hour=1))
TASK_DELETE_RUN_EVERY = env.timedelta("TASK_DELETE_RUN_EVERY", timedelta(days=1))
RECURRING_TASK_RUN_RETENTION_DAYS = env.int("RECURRING_TASK_RUN_RETENTION_DAYS", 30)
TASK_BACKOFF_DEFAULT_DELAY_SECONDS = env.int("TASK_BACKOFF_DEFAULT_DELAY_SECONDS", 5)
