"""The user model: table users_ffadminuser, which API and processor read before they serve."""

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models

from organisations.models import Organisation


class UserManager(BaseUserManager["FFAdminUser"]):
    def create_superuser(self, email: str, password: str | None = None) -> "FFAdminUser":
        user = self.model(email=self.normalize_email(email), is_staff=True, is_superuser=True)
        user.set_password(password)
        user.save(using=self._db)
        return user


class FFAdminUser(AbstractUser):
    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    organisations = models.ManyToManyField(Organisation, related_name="users", blank=True)
    objects = UserManager()  # type: ignore[assignment,misc]

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []
