"""Management commands of Flagsmith's own; the label keeps apart from flagsmith-common's app."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"
    label = "outer_core"
