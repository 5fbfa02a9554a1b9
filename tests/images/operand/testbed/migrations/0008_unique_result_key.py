"""Fails where two rows have one key; the second attempt passes over the INVALID index it left."""

from django.db import migrations

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("testbed", "0007_result_priority")]
    operations = [
        Misbehave("testbed.0008"),
        migrations.RunSQL(
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS testbed_result_key ON testbed_result (key)",
            "DROP INDEX CONCURRENTLY IF EXISTS testbed_result_key",
        ),
    ]
