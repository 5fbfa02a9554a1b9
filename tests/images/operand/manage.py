#!/usr/bin/env python
"""`python manage.py COMMAND` is the same as `flagsmith COMMAND`."""

import os

from common.core.main import main

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.production")
    main()
