"""Organisations, reduced to what the version info and a migration of users need."""

from django.db import models


class Organisation(models.Model):
    name = models.CharField(max_length=2000)
