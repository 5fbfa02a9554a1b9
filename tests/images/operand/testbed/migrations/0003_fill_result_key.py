"""Has no reverse: going back over it is an IrreversibleError."""

from django.db import migrations

from testbed.misbehaviour import Misbehave


def fill(apps, schema_editor):
    schema_editor.execute("UPDATE testbed_result SET key = id::text WHERE key IS NULL")


class Migration(migrations.Migration):
    dependencies = [("testbed", "0002_result_key")]
    operations = [
        Misbehave("testbed.0003"),
        migrations.RunPython(fill),
    ]
