"""Found by a name that is put together at run time."""

ONE = 25.4
