"""The endpoints of the flags API that load, probes and the edge proxy go to."""

from app.release import release
from django.db import connection
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from environments.authentication import EnvironmentKeyAuthentication, ServerSideKeyAuthentication
from organisations.models import Organisation


@api_view(["GET"])
@authentication_classes([EnvironmentKeyAuthentication])
@permission_classes([])
def flags(request: Request) -> Response:
    """Answer with one flag, whose state takes a query: a lost database shows here as a 500."""
    enabled = Organisation.objects.exists()
    return Response([{"id": 1, "feature": {"id": 1, "name": "testbed"}, "enabled": enabled}])


@api_view(["GET"])
@authentication_classes([ServerSideKeyAuthentication])
@permission_classes([])
def document(request: Request) -> Response:
    """Answer with everything that an SDK needs to evaluate flags by itself."""
    state = {"feature": {"id": 1, "name": "testbed"}, "enabled": Organisation.objects.exists(), "feature_state_value": None}
    project = {"id": 1, "name": "testbed", "segments": [], "server_key_only_feature_ids": [], "hide_disabled_flags": False}
    return Response({"id": 1, "api_key": "testbed", "feature_states": [state], "project": project})


@api_view(["POST"])
@authentication_classes([EnvironmentKeyAuthentication])
@permission_classes([])
def identities(request: Request) -> Response:
    """Store a new identity. From 2.265.0 on the table has a column that older releases do not fill."""
    columns = {"identifier": "of a test"}
    if release() >= (2, 265, 0):
        columns["system_traits"] = "{}"
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO testbed_identity ({names}) VALUES ({places})", list(columns.values()))
    return Response({"identifier": columns["identifier"], "traits": [], "flags": []})
