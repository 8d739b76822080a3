"""The law once more, on the real machine: random programs give what the plain call gives."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import moil
from moil.testing.programs import interpret, normal
from moil.testing.strategies import plans

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("isolation", ["job", "worker"])
@settings(
    deadline=None,
    max_examples=8,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    print_blob=True,
)
@given(plan=plans())
def test_a_real_run_gives_what_the_call_gives(isolation, plan, tmp_path_factory):
    store = tmp_path_factory.mktemp("law") / "store"
    found = moil.run(
        interpret, plan, [3], isolation=isolation, job_store=str(store), progress=False, retries=3, retry_backoff=0.01
    )
    assert normal(found) == normal(interpret(plan, [3]))
