"""The settings module that the image names in DJANGO_SETTINGS_MODULE."""

from app.settings.common import *  # noqa: F403
