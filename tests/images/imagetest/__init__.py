"""Checks of the test images, run as containers without any cluster."""
