"""Found first."""

WHOSE = "the first's"
