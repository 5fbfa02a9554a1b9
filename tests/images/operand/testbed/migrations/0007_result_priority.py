"""Rewrites nothing, but waits for every transaction that has read the table."""

from django.db import migrations

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    dependencies = [("testbed", "0006_delivery")]
    operations = [
        Misbehave("testbed.0007"),
        migrations.RunSQL(
            "ALTER TABLE testbed_result ADD COLUMN priority smallint NOT NULL DEFAULT 50",
            "ALTER TABLE testbed_result DROP COLUMN priority",
        ),
    ]
