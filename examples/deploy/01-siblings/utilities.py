"""Beside the script, and imported by it."""

from pathlib import Path


def greeting(name: str) -> str:
    """A greeting, in the words of the file beside this one."""
    return Path(__file__).with_name("greeting.txt").read_text(encoding="utf-8").strip().format(name=name)
