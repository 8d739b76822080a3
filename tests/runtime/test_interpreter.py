"""Interpreters that are started for workers, and what they say on standard error."""

import os
import sys

from moil.adapters.local import _Zygote
from moil.runtime import messages
from moil.runtime.interpreter import Interpreter

PROGRAM = """
import os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
os.write(2, b"one\\ntwo\\n")
channel.send(b"x")
channel.recv(1)
os.write(2, b"three\\n")
"""


def test_each_line_is_new_once():
    one = Interpreter([sys.executable, "-c", PROGRAM], os.environ)
    one.channel.recv(1)
    assert (one.new_words(), one.new_words()) == (["one", "two"], [])
    one.channel.send(b"x")
    assert one.wait(60.0)
    assert (one.last_words(), one.new_words()) == ("three", ["three"])
    one.close(0.0)
    assert one.new_words() == []


def test_why_a_supervisor_is_gone():
    """It has said so, or had no time to; what another said before it is of no interest."""
    zygote = object.__new__(_Zygote)
    said = f"import os; os.write(2, b'a line\\n{messages.FAILED}OSError: it is full\\nanother\\n')"
    zygote._process = Interpreter([sys.executable, "-c", said], os.environ)
    assert zygote._process.wait(60.0)
    assert zygote.why_gone() == "the worker's supervisor failed: OSError: it is full"
    assert zygote.why_gone() == "the worker's supervisor was killed"
    zygote._process.close(0.0)
