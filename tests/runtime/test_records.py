"""What leader and worker tell each other is read back as it was written, or refused."""

import marshal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil.core.records import Call, Failure, Outcome, PromiseRef, Stored
from moil.core.requirements import Accelerator, Ceiling, Request, Requirements
from moil.errors import DamagedError
from moil.runtime.codec import StoredValue
from moil.runtime.records import Needs, OutcomeRecord, Task, decode_outcome, decode_task, encode_outcome, encode_task, token

few = settings(max_examples=30, deadline=None)
numbers = st.integers(0, 10**6)
indices = st.lists(st.integers(0, 99), max_size=3).map(tuple)
data = st.binary(max_size=20) | st.builds(Stored, st.text(min_size=1, max_size=9))
names = st.text(max_size=8)
sizes = st.integers(0, 2**62)
accelerators = st.lists(
    st.builds(Accelerator, kind=names, count=st.integers(1, 9), model=st.none() | names), max_size=2
).map(tuple)
amounts = st.floats(0.5, 1e6)
requests = st.builds(
    Request,
    cores=st.none() | amounts,
    memory=st.none() | sizes,
    disk=st.none() | sizes,
    walltime=st.none() | amounts,
    accelerators=st.none() | accelerators,
    preemptible=st.none() | st.booleans(),
)
steps = st.tuples(st.sampled_from(["item", "attr"]), names | st.integers())
refs = st.builds(PromiseRef, call=numbers, path=st.lists(steps, max_size=3).map(tuple))
calls = st.builds(
    Call,
    name=names,
    task=data,
    service=st.booleans(),
    needs=indices,
    after=indices,
    services=indices,
    request=requests,
    promised=st.lists(st.tuples(names, refs), max_size=2).map(tuple),
    retries=st.none() | numbers,
    checkpoint=st.booleans(),
    local=st.booleans(),
)
tasks = st.builds(
    Task,
    job=numbers,
    attempt=numbers,
    name=names,
    call=data,
    base=numbers,
    values=st.lists(st.builds(StoredValue, numbers, names, numbers, st.booleans(), data), max_size=3).map(tuple),
    needs=st.builds(
        Needs,
        st.builds(
            Requirements,
            cores=amounts,
            memory=sizes,
            disk=sizes,
            walltime=st.none() | amounts,
            accelerators=accelerators,
            preemptible=st.booleans(),
        ),
        st.builds(Ceiling, cores=st.none() | amounts, memory=st.none() | sizes, accelerators=st.none() | numbers),
    ),
    service=st.booleans(),
)
outcomes = st.builds(
    OutcomeRecord,
    job=numbers,
    attempt=numbers,
    outcome=st.sampled_from(Outcome),
    value=data,
    refs=indices,
    calls=st.lists(calls, max_size=3).map(tuple),
    files=st.lists(names, max_size=3).map(tuple),
    failure=st.none() | st.builds(Failure, error=names, where=names, traceback=names, host=names),
)


@few
@given(tasks)
def test_a_task_is_read_back(task):
    assert decode_task(encode_task(task)) == task


@few
@given(outcomes)
def test_an_outcome_is_read_back(record):
    assert decode_outcome(encode_outcome(record)) == record


def test_a_plain_call_takes_little_room():
    calls = tuple(Call(name="f", task=b"1234") for _ in range(100))
    assert len(encode_outcome(OutcomeRecord(job=1, attempt=1, calls=calls))) < 100 * 40


def test_an_attempt_has_a_name():
    assert token(7, 2) == Task(job=7, attempt=2, name="f", call=b"", base=1).token == "7.2"


TASK = encode_task(Task(job=7, attempt=2, name="f", call=b"call", base=1, values=(StoredValue(3, "g", 0, True, b"v"),)))
OUTCOME = encode_outcome(
    OutcomeRecord(job=7, attempt=2, value=b"v", calls=(Call(name="g", task=b"t", needs=(0,)),), failure=Failure(error="e"))
)


@pytest.mark.parametrize(("decode", "whole"), [(decode_task, TASK), (decode_outcome, OUTCOME)], ids=["task", "outcome"])
def test_what_is_cut_off_is_refused(decode, whole):
    for length in range(len(whole)):
        with pytest.raises(DamagedError, match="record is damaged"):
            decode(whole[:length])


@pytest.mark.parametrize(("decode", "whole"), [(decode_task, TASK), (decode_outcome, OUTCOME)], ids=["task", "outcome"])
def test_another_format_is_refused(decode, whole):
    with pytest.raises(DamagedError, match="record has format 99; this version of Moil reads 2"):
        decode(b"M\x63" + whole[2:])


@pytest.mark.parametrize(("decode", "whole"), [(decode_task, TASK), (decode_outcome, OUTCOME)], ids=["task", "outcome"])
def test_a_record_that_lacks_something_is_refused(decode, whole):
    fields = marshal.loads(whole[2:])
    for number in range(len(fields)):
        for damaged in (fields[:number] + fields[number + 1 :], (*fields[:number], 0.5, *fields[number + 1 :])):
            try:
                decode(whole[:2] + marshal.dumps(damaged, 4))
            except DamagedError:
                continue


@pytest.mark.parametrize("content", [marshal.dumps([1], 4), b"", b"?", b'{"format": 1}'])
def test_what_is_no_record_is_refused(content):
    for data in (content, b"M\x02" + content):
        with pytest.raises(DamagedError):
            decode_task(data)
