"""What `migrate-and-serve` runs between the two: the first administrator, if asked for."""

from django.conf import settings
from django.core.management import BaseCommand

from users.models import FFAdminUser


class Command(BaseCommand):
    def handle(self, *args: object, **options: object) -> None:
        if not settings.ALLOW_ADMIN_INITIATION_VIA_CLI:
            self.stdout.write("Skipping initial user creation.")
        elif FFAdminUser.objects.exists():
            self.stdout.write("Skipping initial user creation: users exist.")
        else:
            FFAdminUser.objects.create_superuser(settings.ADMIN_EMAIL)
            self.stdout.write("Initial user created.")
