"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Tests interrupt programs that they start. A shell has what it runs in the background ignore that, and children inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
