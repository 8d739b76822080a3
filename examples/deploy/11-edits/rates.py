"""Change me."""

RATE = 2.0
