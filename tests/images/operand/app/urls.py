"""Routes. A process in task processor mode serves only the first group."""

from common.core.urls import urlpatterns as core_urlpatterns
from django.conf import settings
from django.urls import include, path, re_path

from environments.views import document, flags, identities

urlpatterns = [
    *core_urlpatterns,
    path("processor/", include("task_processor.urls")),
]

if not settings.TASK_PROCESSOR_MODE:
    urlpatterns += [
        re_path(r"^api/v1/flags/$", flags),
        re_path(r"^api/v1/environment-document/$", document),
        re_path(r"^api/v1/identities/$", identities),
        path("testbed/", include("testbed.urls")),
    ]
