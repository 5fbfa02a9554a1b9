from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("organisations", "0001_initial"),
    ]
    operations = [
        migrations.CreateModel(
            name="FFAdminUser",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("password", models.CharField(max_length=128)),
                ("last_login", models.DateTimeField(blank=True, null=True)),
                ("is_superuser", models.BooleanField(default=False)),
                ("first_name", models.CharField(blank=True, max_length=150)),
                ("last_name", models.CharField(blank=True, max_length=150)),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("is_staff", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(default=True)),
                ("date_joined", models.DateTimeField(auto_now_add=True)),
                (
                    "organisation",
                    models.ForeignKey("organisations.Organisation", models.SET_NULL, null=True),
                ),
                ("groups", models.ManyToManyField("auth.Group", blank=True)),
                ("user_permissions", models.ManyToManyField("auth.Permission", blank=True)),
            ],
        ),
        migrations.AddField(
            "FFAdminUser",
            "organisations",
            models.ManyToManyField("organisations.Organisation", related_name="users", blank=True),
        ),
    ]
