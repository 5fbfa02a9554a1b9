from django.urls import re_path

from testbed import views

# The trailing slash is optional, so that no redirect comes between a test and its view.
urlpatterns = [
    re_path(r"^slow/?$", views.slow),
    re_path(r"^slow-query/?$", views.slow_query),
    re_path(r"^hog/?$", views.hog),
    re_path(r"^allocate/?$", views.allocate),
    re_path(r"^crash/?$", views.crash),
    re_path(r"^error/?$", views.error),
    re_path(r"^enqueue/?$", views.enqueue),
    re_path(r"^results/?$", views.results),
]
