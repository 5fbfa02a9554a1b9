"""The one endpoint of the flags API that load and probes go to."""

from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from environments.authentication import EnvironmentKeyAuthentication
from organisations.models import Organisation


@api_view(["GET"])
@authentication_classes([EnvironmentKeyAuthentication])
@permission_classes([])
def flags(request: Request) -> Response:
    """Answer with one flag, whose state takes a query: a lost database shows here as a 500."""
    enabled = Organisation.objects.exists()
    return Response([{"id": 1, "feature": {"id": 1, "name": "testbed"}, "enabled": enabled}])
