from django.db import migrations, models

from testbed.misbehaviour import Misbehave


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        Misbehave("testbed.0001"),
        migrations.CreateModel(
            name="Result",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("task", models.CharField(max_length=200)),
                ("value", models.TextField(default="")),
                ("release", models.CharField(max_length=20)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.RunSQL(
            "CREATE TABLE testbed_identity (id bigserial PRIMARY KEY, identifier text NOT NULL)",
            "DROP TABLE testbed_identity",
        ),
    ]
