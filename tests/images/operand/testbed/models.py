"""What tasks leave behind. Columns of later releases are not in the model: old code must
run on a newer schema."""

from django.db import models


class Result(models.Model):
    """One executed task."""

    task = models.CharField(max_length=200)
    value = models.TextField(default="")
    release = models.CharField(max_length=20)
    created_at = models.DateTimeField(auto_now_add=True)
