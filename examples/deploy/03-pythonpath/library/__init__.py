"""Beside the package that is started."""
