"""The thread of a cluster's leader that looks into the store: for letters, and for what pilots have claimed.

It looks often while there is news, and seldom while there is none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from moil.core.records import Outcome
from moil.errors import DamagedError, NoSuchKey, StoreError
from moil.runtime.clerk import CLOSING, News, Site, claim_of, defect
from moil.runtime.mailbox import SACK, Letter
from moil.runtime.queues import Claim

QUICK, SLOW = 0.05, 1.0
"""Seconds between looks into the store, while there is news and while there is none."""
PATIENCE = 60.0
"""Seconds for which a store that cannot be read is tried again."""


class Reader:
    """Looks for letters."""

    def __init__(self, site: Site, tell: Callable[[News], None]) -> None:
        self._site, self._tell = site, tell
        self._changed = threading.Condition()
        self._watching = False
        self._hurried = False
        self._told: set[tuple[str, str]] = set()
        self._follows = False
        self._claims: set[tuple[str, str]] = set()
        self._forget: list[str] = []
        self._over: list[str] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="moil-reader", daemon=True)
        self._thread.start()

    def watch(self, tokens: Collection[str]) -> None:
        """Whether anybody is out who could write."""
        with self._changed:
            if tokens and not self._watching:
                self._changed.notify()
            self._watching = bool(tokens)

    def follow(self, *, claims: bool) -> None:
        """Whether there are pilots, who could claim something."""
        self._follows = claims

    def hurry(self) -> None:
        """Look soon."""
        with self._changed:
            self._hurried = True
            self._changed.notify()

    def forget(self, tokens: Iterable[str], batches: Iterable[str]) -> None:
        """These have been written down; none of the members of these batches is out."""
        with self._changed:
            self._forget.extend(tokens)
            self._over.extend(batches)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSING)

    def _run(self) -> None:
        interval, failing_since = QUICK, 0.0
        while not self._closing:
            try:
                found = self._look()
                self._tidy()
                failing_since = 0.0
            except StoreError as error:
                found, now = False, time.monotonic()
                failing_since = failing_since or now
                if now - failing_since > PATIENCE:
                    self._tell(News(fatal=error))
                    return
            except Exception as error:  # noqa: BLE001 - a defect must end the run, not leave it waiting for ever
                self._tell(News(fatal=defect(error)))
                return
            interval = QUICK if found else min(interval * 1.3, SLOW)
            with self._changed:
                if not (self._hurried or self._closing):
                    self._changed.wait(interval if self._watching else None)
                if self._hurried:
                    interval = QUICK
                self._hurried = False

    def _look(self) -> bool:
        news = News(claims=self._new_claims() if self._follows else [])
        for kind in ("up", "outcomes"):
            for name in self._site.mailbox.posted(kind):
                if (kind, name) not in self._told:
                    self._read(kind, name, news)
        if found := bool(news.letters or news.claims or news.sacks):
            self._tell(news)
        return found

    def _read(self, kind: str, name: str, news: News) -> None:
        with suppress(NoSuchKey):
            if name.startswith(SACK):
                self._open_sack(name, news)
                return
            try:
                letter = self._site.mailbox.read(kind, name)
            except DamagedError as error:
                letter = Letter(token=name, host="", outcome=Outcome.failed, error=str(error), verdict=True)
            self._told.add((kind, name))
            news.letters.append((kind, letter))

    def _open_sack(self, name: str, news: News) -> None:
        """One that is damaged says nothing: what was in it is found missing when its pilot is over."""
        self._told.add(("outcomes", name))
        try:
            sack = self._site.mailbox.read_sack(name)
        except DamagedError as error:
            self._site.say(str(error))
            news.sacks.append((name, None))
            return
        news.sacks.append((name, sack))
        news.letters.extend(("sack", one) for one in sack.letters)

    def _new_claims(self) -> list[tuple[str, str, Claim]]:
        present, found = set(self._site.queues.claimed()), []
        for shape, name in sorted(present - self._claims):
            claim = claim_of(self._site.queues, shape, name)
            if claim is not None:
                found.append((shape, name, claim))
        self._claims = present
        return found

    def _tidy(self) -> None:
        with self._changed:
            tokens, self._forget = self._forget, []
            batches, self._over = self._over, []
        if tokens:
            self._site.mailbox.forget(tokens)
            self._told.difference_update((kind, token) for kind in ("up", "outcomes") for token in tokens)
        for batch in batches:
            self._site.mailbox.remove_batch(batch)
