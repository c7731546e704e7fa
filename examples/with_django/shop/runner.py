"""What `pgtasker run shop.runner` loads: Django first, then the workflows."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from shop.workflows import fulfil  # noqa: E402, F401 - after the setup
