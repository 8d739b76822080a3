import pytest
from hypothesis import settings

settings.register_profile("calm", deadline=None)  # a machine that others use has slow moments
settings.load_profile("calm")
pytest.register_assert_rewrite("story")

from story import Story  # noqa: E402


@pytest.fixture
def story():
    """A story without back-off, at whose end nothing may have been commanded that was not claimed."""
    told = Story(backoff=0.0)
    yield told
    told.and_nothing_else()
