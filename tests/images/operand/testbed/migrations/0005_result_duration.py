from django.db import migrations

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    dependencies = [("testbed", "0004_index_result_task")]
    operations = [
        Misbehave("testbed.0005"),
        migrations.RunSQL(
            "ALTER TABLE testbed_result ADD COLUMN duration interval",
            "ALTER TABLE testbed_result DROP COLUMN duration",
        ),
    ]
