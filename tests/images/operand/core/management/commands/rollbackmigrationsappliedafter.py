"""Undo what was applied at or after a moment; run with the newer image, before a downgrade."""

from datetime import datetime

from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db.migrations.recorder import MigrationRecorder


class Command(BaseCommand):
    help = "Rollback all migrations applied on or after a given datetime."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dt", help="moment in ISO format")

    def handle(self, *args: object, dt: str, **options: object) -> None:
        try:
            moment = datetime.fromisoformat(dt)
        except ValueError:
            raise CommandError("Date must be in ISO format")
        first: dict[str, str] = {}
        for row in MigrationRecorder.Migration.objects.filter(applied__gte=moment).order_by("applied"):
            first.setdefault(row.app, row.name)
        if not first:
            self.stdout.write("No migrations to rollback.")
        for app, name in first.items():
            before = int(name.split("_")[0]) - 1
            call_command("migrate", app, f"{before:04}" if before else "zero")
