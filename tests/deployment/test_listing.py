"""Listings: canonical, digested, and never out of their unit."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moil.deployment.listing import DIRECTORY, EXECUTABLE, FILE, LINK, Item, Listing, decode
from moil.errors import DamagedError

NONE = "0" * 64
PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=[]), min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
ITEM = st.builds(Item, PATH, st.sampled_from([FILE, EXECUTABLE]), st.just(NONE), st.just(1))
ITEMS = st.lists(ITEM, unique_by=lambda one: one.path)


@given(ITEMS)
def test_a_listing_comes_back_from_its_bytes(items):
    listing = Listing.of(items)
    assert decode(listing.encode(), listing.digest) == listing


@given(ITEMS, st.randoms())
def test_the_order_in_which_things_were_found_does_not_matter(items, chance):
    other = list(items)
    chance.shuffle(other)
    assert Listing.of(items).digest == Listing.of(other).digest


def test_another_byte_is_another_name():
    listing = Listing.of([Item("a", FILE, NONE, 1)])
    with pytest.raises(DamagedError, match="does not match its name"):
        decode(listing.encode() + b" ", listing.digest)


def test_names_that_are_not_utf_8_are_kept():
    listing = Listing.of([Item(b"caf\xe9.txt".decode(errors="surrogateescape"), FILE, NONE, 1)])
    found = decode(listing.encode(), listing.digest)
    assert found.items[0].path.encode(errors="surrogateescape") == b"caf\xe9.txt"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/.", "a\0b"])
def test_a_path_that_leads_out_is_refused(path):
    with pytest.raises(DamagedError, match="does not lie in its unit"):
        Listing.of([Item(path, FILE, NONE, 1)])


@pytest.mark.parametrize("target", ["/etc", "..", "../../x", "", "b/../../../x"])
def test_a_link_that_leads_out_is_refused(target):
    with pytest.raises(DamagedError, match="out of its unit"):
        Listing.of([Item("link", LINK, target)])


def test_a_link_beside_is_fine_and_nothing_lies_below_one():
    Listing.of([Item("a/link", LINK, "../b"), Item("b", FILE, NONE, 1)])
    with pytest.raises(DamagedError, match="below a link"):
        Listing.of([Item("link", LINK, "b"), Item("link/x", FILE, NONE, 1), Item("b", DIRECTORY)])


def test_nothing_is_there_twice():
    with pytest.raises(DamagedError, match="twice"):
        Listing.of([Item("a", FILE, NONE, 1), Item("a", EXECUTABLE, NONE, 1)])


@pytest.mark.parametrize(("content", "why"), [({"format": 99, "items": []}, "format 99"), ({"format": 1}, "damaged"), ([], "damaged")])
def test_a_listing_that_cannot_be_read_is_told(content, why):
    data = json.dumps(content).encode()
    with pytest.raises(DamagedError, match=why):
        decode(data, hashlib.sha256(data).hexdigest())
