"""Killed half-way it leaves an INVALID index, and then fails with `relation … already exists`."""

from django.db import migrations

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("testbed", "0003_fill_result_key")]
    operations = [
        Misbehave("testbed.0004"),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY testbed_result_task ON testbed_result (task)",
            "DROP INDEX CONCURRENTLY testbed_result_task",
        ),
    ]
