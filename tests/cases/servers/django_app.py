import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from held import halves

VERSION = "1"
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=True, SECRET_KEY="test")
django.setup()
urlpatterns = [
    path("version", lambda request: HttpResponse(VERSION, content_type="text/plain")),
    path("hold", lambda request: StreamingHttpResponse(halves(), content_type="text/plain")),
]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
