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
        # As identities.0007 of Flagsmith: older code names no value, and the column has no default.
        migrations.RunSQL(
            [
                "ALTER TABLE testbed_identity ADD COLUMN system_traits jsonb NOT NULL DEFAULT '{}'",
                "ALTER TABLE testbed_identity ALTER COLUMN system_traits DROP DEFAULT",
            ],
            "ALTER TABLE testbed_identity DROP COLUMN system_traits",
        ),
    ]
