from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("users", "0002_move_organisation")]
    operations = [migrations.RemoveField("FFAdminUser", "organisation")]
