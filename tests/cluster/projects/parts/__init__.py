"""Sibling package."""
