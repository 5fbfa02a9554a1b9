"""How an SDK proves which environment it belongs to."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class EnvironmentKeyAuthentication(BaseAuthentication):
    """Accepts any X-Environment-Key; without one the answer is 403, as there is no challenge to send."""

    def authenticate(self, request: Request) -> tuple[None, str]:
        if not (key := request.META.get("HTTP_X_ENVIRONMENT_KEY")):
            raise AuthenticationFailed("Invalid or missing Environment key")
        return None, key


class ServerSideKeyAuthentication(EnvironmentKeyAuthentication):
    """Accepts one server-side key."""

    def authenticate(self, request: Request) -> tuple[None, str]:
        _, key = super().authenticate(request)
        if key != "ser.testbed":
            raise AuthenticationFailed("Invalid or missing Environment key")
        return None, key
