"""Builds the test images: Debian packages and Python wheels in, OCI archives out."""
