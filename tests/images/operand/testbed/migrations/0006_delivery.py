from django.db import migrations

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    dependencies = [("testbed", "0005_result_duration")]
    operations = [
        Misbehave("testbed.0006"),
        migrations.RunSQL(
            "CREATE TABLE testbed_delivery (id bigserial PRIMARY KEY, url text NOT NULL, created_at timestamptz)",
            "DROP TABLE testbed_delivery",
        ),
    ]
