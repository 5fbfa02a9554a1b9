"""Like users.0010 of Flagsmith: it cannot be reversed, and it always asks the default
database, so that `migrate --database task_processor` on an empty second database fails
with `column users_ffadminuser.organisation_id does not exist`."""

from django.db import migrations


def move(apps, schema_editor):
    for user in apps.get_model("users", "FFAdminUser").objects.all():
        if user.organisation is not None:
            user.organisations.add(user.organisation)


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]
    operations = [migrations.RunPython(move)]
