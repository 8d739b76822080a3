"""A workflow under a simulated engine that loses every fifth attempt."""

from pathlib import Path

import pytest
from moil import File
from moil.testing.world import Mishaps, SimulatedWorld

from words import main


# [simulated]
@pytest.mark.parametrize("seed", range(20))
def test_lost_attempts_do_not_change_the_value(seed: int) -> None:
    texts = [File(text) for text in sorted(Path("docs/examples/texts").iterdir())]
    world = SimulatedWorld(seed, mishaps=Mishaps(lost=0.2))
    assert world.run(main, texts) == main(texts)
# [/simulated]
