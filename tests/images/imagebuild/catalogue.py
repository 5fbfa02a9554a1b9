"""Which images there are, and what runs in each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import layers, oci
from .cache import CACHE, SOURCE, forget_stale_archives, key, progress
from .layers import RELEASES, numbers
from .oci import Layer

REGISTRY = "docker.io/local"  # containerd finds an image only by its full name.
EDGE_PROXY_VERSION = "2.23.0"
POSTGRES_VERSION = "15"  # What Debian bookworm has.
LOGGERS = (
    "app_analytics,audit,code_references,common,core,dynamodb,edge_api,environments,features,import_export,"
    "integrations,mcp,oauth2_metadata,organisations,projects,{segment}segments,task_processor,{trust}users,webhooks,workflows"
)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """An image: its name here, its reference in the cluster, what it is stacked from, its OCI config."""

    name: str
    reference: str
    inputs: str
    stack: Callable[[], list[Layer]]
    config: dict[str, object]

    def archive(self) -> Path:
        """Return the path of its archive, which may not exist yet."""
        return CACHE / f"{self.name}-{key(layers.RECIPE, self.reference, self.inputs, repr(self.config))}.tar"

    def build(self) -> Path:
        target = self.archive()
        if not target.is_file():
            progress(f"building {self.reference}")
            oci.write_archive(target, self.reference, self.config, self.stack())
        target.touch()
        forget_stale_archives(self.name, target)
        return target


def images() -> dict[str, Image]:
    """Return all images by name, those that most tests need first."""
    order = sorted(RELEASES, key=numbers, reverse=True)
    found = [*map(_api, order), _postgres(), *map(_frontend, order), _edge_proxy(), _toolbox()]
    return {image.name: image for image in found}


def _api(release: str) -> Image:
    facts = RELEASES[release]
    common = str(facts["flagsmith-common"])
    environment = [
        PATH,
        "ACCESS_LOG_LOCATION=/dev/null",
        "PROMETHEUS_MULTIPROC_DIR=/tmp/prometheus",
        "DJANGO_SETTINGS_MODULE=app.settings.production",
        # Of the base, not of Flagsmith: keep tracebacks and prints in order in the log.
        "PYTHONUNBUFFERED=1",
    ]
    if facts["entrypoint"] == "flagsmith":
        newer = numbers(release) >= (2, 265, 0)
        loggers = LOGGERS.format(segment="segment_membership,", trust="trust_relationships," if newer else "")
        environment += ["GUNICORN_WORKERS=3", "GUNICORN_THREADS=2", f"APPLICATION_LOGGERS={loggers}"]
        entrypoint = ["flagsmith"]
    else:
        entrypoint = ["/app/scripts/run-docker.sh"]
    return Image(
        name=f"flagsmith-api-{release}",
        reference=f"{REGISTRY}/flagsmith-api:{release}",
        inputs=key(layers.LOCK, common, str(facts), SOURCE / "operand"),
        stack=lambda: [layers.base(), layers.libraries(), layers.common(common), layers.operand(release)],
        config={
            "Entrypoint": entrypoint,
            "Cmd": ["migrate-and-serve"],
            "Env": environment,
            "ExposedPorts": {"8000/tcp": {}},
            "User": "nobody",
            "WorkingDir": "/app",
        },
    )


def _frontend(release: str) -> Image:
    return Image(
        name=f"flagsmith-frontend-{release}",
        reference=f"{REGISTRY}/flagsmith-frontend:{release}",
        inputs=key(release, SOURCE / "frontend"),
        stack=lambda: [layers.frontend(release)],
        config={
            "Cmd": ["/srv/bt/frontend"],
            "Env": [PATH, "NODE_ENV=production"],
            "ExposedPorts": {"8080/tcp": {}},
            "User": "nobody",
            "WorkingDir": "/srv/bt",
        },
    )


def _edge_proxy() -> Image:
    return Image(
        name="edge-proxy",
        reference=f"{REGISTRY}/edge-proxy:{EDGE_PROXY_VERSION}",
        inputs=key(SOURCE / "edge-proxy"),
        stack=lambda: [layers.base(), layers.edge_proxy()],
        config={
            "Cmd": ["edge-proxy-serve"],
            "Env": ["VIRTUAL_ENV=/opt/venv", f"PATH=/opt/venv/bin:{PATH.removeprefix('PATH=')}"],
            "ExposedPorts": {"8000/tcp": {}},
            "User": "nobody",
            "WorkingDir": "/app",
        },
    )


def _postgres() -> Image:
    return Image(
        name="postgres",
        reference=f"{REGISTRY}/postgres:{POSTGRES_VERSION}",
        inputs=key(SOURCE / "postgres"),
        stack=lambda: [layers.base(), layers.tools(), layers.postgres()],
        config={
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "Env": [
                f"PATH=/usr/local/bin:/usr/lib/postgresql/{POSTGRES_VERSION}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                f"PG_MAJOR={POSTGRES_VERSION}",
                "PGDATA=/var/lib/postgresql/data",
            ],
            "ExposedPorts": {"5432/tcp": {}},
            "Volumes": {"/var/lib/postgresql/data": {}},
            "StopSignal": "SIGINT",
            "WorkingDir": "/",
        },
    )


def _toolbox() -> Image:
    return Image(
        name="toolbox",
        reference=f"{REGISTRY}/toolbox:1",
        inputs="",
        stack=lambda: [layers.base(), layers.tools()],
        config={"Cmd": ["sleep", "infinity"], "Env": [PATH, "LANG=C.UTF-8"], "User": "65534", "WorkingDir": "/tmp"},
    )
