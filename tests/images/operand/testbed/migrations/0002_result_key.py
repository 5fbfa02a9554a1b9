from django.db import migrations

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    dependencies = [("testbed", "0001_initial")]
    operations = [
        Misbehave("testbed.0002"),
        migrations.RunSQL(
            "ALTER TABLE testbed_result ADD COLUMN key text",
            "ALTER TABLE testbed_result DROP COLUMN key",
        ),
    ]
