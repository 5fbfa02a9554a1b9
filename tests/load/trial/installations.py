"""Two installations that the operator keeps, and one as the official chart makes it."""

import json
import subprocess

from trial.phases import kubectl

NAMESPACE = "load"
# Between the first two nothing is known that older pods cannot do, so a rollback loses no request; and both run tasks.
FIRST, OLD, NEW = "2.250.0", "2.260.0", "2.265.0"
CLASSES = {"nginx": "k8s.io/ingress-nginx", "haproxy": "haproxy.org/ingress-controller/haproxy"}
PODS = 2


def apply(*objects: dict) -> None:
    """Apply objects."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    subprocess.run(["kubectl", "apply", "-n", NAMESPACE, "-f", "-"], input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def classes() -> list[dict]:
    """Return the IngressClasses by which the operator recognises the proxies."""
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name},
            "spec": {"controller": controller},
        }
        for name, controller in CLASSES.items()
    ]


def managed(name: str) -> dict:
    """Return a FlagsmithDeployment behind the proxy of this name."""
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    return {
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": {"name": name},
        "spec": {
            "version": FIRST,
            "images": {"api": "docker.io/local/flagsmith-api", "pullPolicy": "Never"},
            "database": {"embedded": {"image": "docker.io/local/postgres:15", "storage": "1Gi", "resources": small}},
            "api": {"replicas": PODS, "gunicorn": {"workers": 1, "threads": 4}, "resources": small},
            "taskProcessor": {"resources": small},
            "migrations": {"resources": small},
            "frontend": {"enabled": False},
            "exposure": {"hosts": ["flags.example.com"], "ingress": {"className": name}},
        },
    }


def official(name: str, database_of: str) -> list[dict]:
    """Return Deployment and Service of the API with the settings of the official chart 0.81.0 and its defaults:
    `serve`, keep-alive 2, no preStop, 30 s of grace, its probes. The database is that of another installation.
    """
    labels = {"app": name}

    def probe(path: str, delay: int, failures: int) -> dict:
        return {
            "httpGet": {"path": path, "port": 8000},
            "initialDelaySeconds": delay,
            "periodSeconds": 10,
            "timeoutSeconds": 2,
            "failureThreshold": failures,
        }

    def secret(variable: str, of: str, key: str) -> dict:
        return {"name": variable, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}}

    container = {
        "name": "flagsmith-api",
        "image": f"docker.io/local/flagsmith-api:{NEW}",
        "imagePullPolicy": "Never",
        "args": ["serve"],
        "ports": [{"containerPort": 8000}],
        "env": [
            {"name": "PROMETHEUS_ENABLED", "value": "true"},
            {"name": "DJANGO_ALLOWED_HOSTS", "value": "*"},
            {"name": "TASK_RUN_METHOD", "value": "TASK_PROCESSOR"},
            # As many as the other installations have; the defaults are 3 and 2.
            {"name": "GUNICORN_WORKERS", "value": "1"},
            {"name": "GUNICORN_THREADS", "value": "4"},
            secret("DATABASE_URL", f"{database_of}-database", "DATABASE_URL"),
            secret("DJANGO_SECRET_KEY", f"{database_of}-django", "DJANGO_SECRET_KEY"),
        ],
        "livenessProbe": probe("/health/liveness/", 5, 5),
        "readinessProbe": probe("/health/readiness/", 1, 10),
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": PODS,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 8000}]},
        },
    ]


def ready(name: str, version: str) -> bool:
    """Return whether a FlagsmithDeployment is Ready at a release."""
    fsd = json.loads(kubectl("-n", NAMESPACE, "get", "fsd", name, "-o", "json"))
    status = fsd.get("status", {})
    conditions = {it["type"]: it["status"] for it in status.get("conditions", [])}
    current = status.get("observedGeneration") == fsd["metadata"]["generation"]
    return current and conditions.get("Ready") == "True" and status.get("version") == version


def patch(name: str, spec: dict) -> None:
    """Change the specification of a FlagsmithDeployment."""
    kubectl("-n", NAMESPACE, "patch", "fsd", name, "--type=merge", "-p", json.dumps({"spec": spec}))
