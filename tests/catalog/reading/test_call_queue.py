"""Waiting calls take turns by subject."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from shotdap.catalog.reading.call_queue import CallQueue


@dataclass(frozen=True)
class Call:
    subject: str
    number: int


def drain(queue: CallQueue[Call]) -> list[Call]:
    return list(iter(queue.take_next, None))


def fill(most: int, subjects: str) -> CallQueue[Call]:
    """Queue one call for each letter; a blank has no subject."""
    queue: CallQueue[Call] = CallQueue(most)
    for number, subject in enumerate(subjects):
        queue.append(Call(subject.strip(), number))
    return queue


def test_turns() -> None:
    """One call of each subject is taken before the second of any; within a subject they keep their order."""
    taken = drain(fill(9, "aaabbc"))

    assert [call.subject for call in taken] == list("abcaba")
    assert [call.number for call in taken if call.subject == "a"] == [0, 1, 2]


def test_limit_of_a_subject() -> None:
    """A subject at its limit waits until one of its calls is released; the others and those without one go on."""
    queue = fill(2, "aaaab    ")

    taken = drain(queue)
    assert sorted(call.subject for call in taken) == ["", "", "", "", "a", "a", "b"]
    assert (len(queue), queue.count_runnable()) == (2, 0)
    queue.release(next(call for call in taken if call.subject == "a"))
    assert queue.count_runnable() == 1
    assert [call.number for call in drain(queue)] == [2]


@given(st.text("ab ", max_size=12), st.data())
def test_every_call_is_taken_once(subjects: str, data: st.DataObject) -> None:
    """Whatever is removed or taken in whatever order, each call leaves the queue once, and the counts are right."""
    queue = fill(1, subjects)
    calls = [Call(subject.strip(), number) for number, subject in enumerate(subjects)]
    removed = data.draw(st.sets(st.sampled_from(calls))) if calls else set()
    for call in removed:
        queue.remove(call)
    seen: list[Call] = []
    while len(queue):
        assert queue.count_runnable() > 0
        taken = queue.take_next()
        assert taken is not None
        queue.release(taken)
        seen.append(taken)

    assert sorted(seen, key=lambda call: call.number) == [call for call in calls if call not in removed]
