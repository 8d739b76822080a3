"""Authenticity: what lies in a job store is believed only under the run's key.

A signed record is 32 bytes of HMAC-SHA-256 and then the data. What the record is (``task 12.1``) is part of what is
signed, so that one record cannot stand in for another. STORED FORMAT: the length, the order, and the words.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress

from moil.errors import DamagedError, KeyExists, NoSuchKey
from moil.ports.job_store import JobStore

KEY = "private/key"
"""Where the run's key lies; job stores keep what is below ``private/`` from everybody but its owner."""
_MAC = hashlib.sha256().digest_size


def make_key(store: JobStore) -> bytes:
    """The run's key; made if there is none."""
    with suppress(KeyExists):
        store.put(KEY, os.urandom(32), if_absent=True)
    return read_key(store)


def read_key(store: JobStore) -> bytes:
    """The run's key. Raises DamagedError if there is none: nothing in the store can be believed then."""
    try:
        return store.get(KEY)
    except NoSuchKey:
        raise DamagedError("the job store holds no key, so nothing in it can be verified; begin a new run") from None


def sign(key: bytes, what: str, data: bytes) -> bytes:
    """The signed record."""
    return _mac(key, what, data) + data


def verify(key: bytes, what: str, record: bytes) -> bytes:
    """The data of a signed record. Raises DamagedError if it is not what was signed as `what` under this key."""
    mac, data = record[:_MAC], record[_MAC:]
    if not hmac.compare_digest(mac, _mac(key, what, data)):
        raise DamagedError(f"{what} in the job store is not what this run has written; it was damaged or forged")
    return data


def _mac(key: bytes, what: str, data: bytes) -> bytes:
    return hmac.digest(key, what.encode() + b"\0" + data, "sha256")
