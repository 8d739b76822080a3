"""From the graph to what a worker needs: values, promised requirements, the task."""

import collections
import pickle
import struct
import sys
import types
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from moil.authoring.promise import Details, Promise
from moil.core.events import JobCommitted, RunStarted
from moil.core.policy import Policy
from moil.core.records import Call, PromiseRef
from moil.core.requirements import GIB, Accelerator, Ceiling, Request, Requirements
from moil.core.workflow import Workflow
from moil.errors import RequirementError
from moil.runtime import codec
from moil.runtime.values import collect, plain_request, requirements_of, task_of


@dataclass
class Needs:
    memory: object
    cores: object = 1


class Pair(NamedTuple):
    memory: object
    cores: object


class Slotted:
    __slots__ = ("memory",)


class Exact:
    """Made with keyword arguments when it is unpickled."""

    def __new__(cls, *, size):
        made = super().__new__(cls)
        made.size = size
        return made

    def __getnewargs_ex__(self):
        return (), {"size": self.size}


OWNER = object()


def promise(call, *path):
    return Promise(Details(OWNER, call, "inner", lambda: None, path))


class Run:
    """Main has called `source` and `job`; `source` has returned `value`, whose promises are its own calls."""

    def __init__(self, value, path=(), field="memory", below=(), ceiling=Ceiling(), **asked):
        self.workflow = Workflow()
        self.workflow.apply(RunStarted(at=0.0, policy=Policy(ceiling=ceiling), root=Call(name="main", task=b"")))
        job = Call(
            name="job",
            task=b"call",
            needs=(0,),
            request=Request(**asked),
            promised=((field, PromiseRef(call=0, path=path)),) if field else (),
        )
        self.commit(1, None, (Call(name="source", task=b""), job))
        self.commit(2, value, tuple(Call(name=f"below{index}", task=b"") for index in range(len(below))))
        for index, one in enumerate(below):
            self.commit(4 + index, one)

    def commit(self, job, value, calls=()):
        data, found = codec.Encoder(OWNER, lambda file: file).dumps(value)
        refs = tuple(sorted(found.refs))
        self.workflow.apply(JobCommitted(at=0.0, job=job, attempt=1, value=data, refs=refs, calls=calls))

    def requirements(self):
        return requirements_of(self.workflow, self.workflow.graph[3], lambda data: data)


def test_a_job_is_submitted_with_what_it_asked_for():
    assert Run(1, field=None, cores=2.0).requirements() == Requirements(cores=2.0)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (5 * GIB, ()),
        ("5 GiB", ()),
        (5.0 * GIB, ()),
        ({"k": [1, 5 * GIB]}, (("item", "k"), ("item", 1))),
        ((1, "5 GiB"), (("item", -1),)),
        (Needs("5 GiB"), (("attr", "memory"),)),
        ([Needs({"a": 5 * GIB})], (("item", 0), ("attr", "memory"), ("item", "a"))),
        (Pair("5 GiB", 1), (("item", 0),)),
        ({"other": {1, 2}, "range": range(3), "k": 5 * GIB}, (("item", "k"),)),
    ],
)
def test_a_promised_requirement_is_looked_up(value, path):
    assert Run(value, path).requirements().memory == 5 * GIB


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("cores", 2, 2.0),
        ("disk", "1 KiB", 1024),
        ("walltime", "1 h", 3600.0),
        ("accelerators", "gpu:2", (Accelerator(count=2),)),
        ("preemptible", True, True),
    ],
)
def test_any_requirement_may_be_promised(field, value, found):
    assert getattr(Run(value, field=field).requirements(), field) == found


def test_a_promise_in_the_value_is_followed():
    run = Run([promise(0), promise(1, ("item", "k"))], (("item", 1),), below=["wrong", {"k": "5 GiB"}])
    assert run.requirements().memory == 5 * GIB


def test_what_was_asked_for_beside_it_is_kept():
    assert Run(GIB, cores=3.0).requirements() == Requirements(memory=GIB, cores=3.0)


def slotted(memory):
    made = Slotted()
    made.memory = memory
    return made


def test_objects_are_looked_into_and_not_brought_to_life():
    class_path = f"{__name__}.Needs"
    data = pickle.dumps(Needs(GIB), 5)
    assert b"Needs" in data
    run = Run(Needs(GIB), (("attr", "memory"),))
    module = sys.modules.pop(__name__)
    try:
        assert run.requirements().memory == GIB, class_path
    finally:
        sys.modules[__name__] = module


def test_slots_are_attributes_too():
    assert Run(slotted(GIB), (("attr", "memory"),)).requirements().memory == GIB


@pytest.mark.parametrize(
    ("kind", "code", "data", "number"),
    [
        ("numpy.core.multiarray", "i8", (3 * GIB).to_bytes(8, "little"), 3 * GIB),
        ("numpy._core.multiarray", "u4", (GIB).to_bytes(4, "little"), GIB),
        ("numpy._core.multiarray", "f8", struct.pack("<d", 2.0 * GIB), 2 * GIB),
        ("numpy._core.multiarray", "f4", struct.pack("<f", 1024.0), 1024),
        ("numpy._core.multiarray", "f2", struct.pack("<e", 1024.0), 1024),
        ("numpy._core.multiarray", "M8", bytes(8), None),
    ],
)
def test_a_numpy_scalar_is_a_number(monkeypatch, kind, code, data, number):
    """Pickled as NumPy does it, and read without NumPy."""
    module, base = types.ModuleType(kind), types.ModuleType("numpy")
    module.scalar = lambda dtype, data: None
    module.scalar.__module__, module.scalar.__qualname__ = kind, "scalar"
    base.dtype = type("dtype", (), {"__module__": "numpy", "__qualname__": "dtype"})
    for one in (module, base):
        one.__file__ = "numpy.py"
        monkeypatch.setitem(sys.modules, one.__name__, one)

    class Dtype:
        def __reduce__(self):
            return base.dtype, (code, False, True), (3, "<", None, None, None, -1, -1, 0)

    class Scalar:
        def __reduce__(self):
            return module.scalar, (Dtype(), data)

    if number is None:
        with pytest.raises(RequirementError, match="is not a size"):
            Run(Scalar()).requirements()
    else:
        assert Run(Scalar()).requirements().memory == number


def test_what_is_no_plain_data_is_told():
    run = Run(1)
    with pytest.raises(RequirementError, match="promised by source #2, whose value is no plain data"):
        requirements_of(run.workflow, run.workflow.graph[3], lambda data: b"no pickle")


class Maker:
    """Is called when what it makes is unpickled."""

    def __call__(self, size):
        return size


class Made:
    def __reduce__(self):
        return Maker(), (GIB,)


def test_what_is_made_by_a_callable_object_is_not_made():
    assert Run({"k": GIB, "made": Made()}, (("item", "k"),)).requirements().memory == GIB


@pytest.mark.parametrize("value", ["lots", None, Needs(1), [GIB], {"k": 1}, -5])
def test_a_promised_requirement_that_is_none_is_told(value):
    with pytest.raises(RequirementError, match=r"memory of job job #3: memory=.* is not a size.*; it was promised by source #2"):
        Run(value).requirements()


@pytest.mark.parametrize(
    ("value", "path"), [([1], (("item", 3),)), ({"a": 1}, (("item", "b"),)), (Needs(1), (("attr", "x"),)), (1, (("item", 0),))]
)
def test_a_part_that_is_not_there_is_told(value, path):
    with pytest.raises(RequirementError, match=r"a requirement was promised by source #2: it returned a"):
        Run(value, path).requirements()


@pytest.mark.parametrize(
    "value",
    [
        collections.OrderedDict(k=GIB),
        collections.Counter(k=GIB),
        collections.defaultdict(int, k=GIB),
        {"k": GIB, "queue": collections.deque([1])},
        {"k": GIB, "exact": Exact(size=1)},
    ],
    ids=["OrderedDict", "Counter", "defaultdict", "deque", "exact"],
)
def test_containers_of_the_standard_library_are_looked_into(value):
    assert Run(value, (("item", "k"),)).requirements().memory == GIB


def test_a_promised_requirement_that_no_machine_can_meet_is_told():
    with pytest.raises(RequirementError, match="job job #3 asks for memory=5 GiB, but the most that one job can get here is 4 GiB"):
        Run("5 GiB", ceiling=Ceiling(memory=4 * GIB)).requirements()


def test_also_of_accelerators():
    with pytest.raises(RequirementError, match="9 accelerator"):
        Run(9, field="accelerators", ceiling=Ceiling(accelerators=1)).requirements()


def test_a_task_has_the_values_that_its_promises_need():
    run = Run([promise(1)], below=["unwanted", "wanted"])
    job = run.workflow.graph[3]
    task = task_of(run.workflow, job, Requirements(), Ceiling(cores=8.0))
    assert (task.job, task.attempt, task.name, task.base, task.call, task.service) == (3, 1, "job", 2, b"call", False)
    assert [(one.job, one.name, one.first_child, one.has_refs) for one in task.values] == [
        (5, "below1", 6, False),
        (2, "source", 4, True),
    ]
    assert task.ceiling == Ceiling(cores=8.0)
    assert codec.resolver(task.base, task.values, lambda data: data)(0, ()) == ["wanted"]


def test_each_value_is_collected_once():
    run = Run([promise(0), promise(0)], below=["x"])
    source = run.workflow.graph[2]
    assert [one.job for one in collect(run.workflow, [source, source])] == [4, 2]


def test_what_the_root_asks_for():
    assert plain_request({"memory": "1 KiB", "cores": 2}, "main") == Request(memory=1024, cores=2.0)
    with pytest.raises(RequirementError, match="memory of job main: memory='lots' is not a size"):
        plain_request({"memory": "lots"}, "main")
