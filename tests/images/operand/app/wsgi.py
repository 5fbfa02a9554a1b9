"""The application for a WSGI server that is started by hand."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
