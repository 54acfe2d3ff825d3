"""A stencil's frames are those that py-amqp writes, byte by byte."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amqp import Message, spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from celery_workers.stencils import SLOTS, Differs, Stencil, Where

texts = st.text(max_size=30)
ids = st.text(st.characters(max_codepoint=127), min_size=1, max_size=40)
fixed_headers = st.dictionaries(
    texts.filter(lambda name: name not in SLOTS),
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | texts | st.lists(texts) | st.dictionaries(texts, texts),
    max_size=6,
)
messages = st.builds(
    Differs,
    st.binary(max_size=300),
    st.fixed_dictionaries({"id": ids, "root_id": texts, "argsrepr": texts, "kwargsrepr": texts}),
    st.integers(0, 2**33),
)
more_properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": texts,
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(0, 9),
        "reply_to": texts,
        "expiration": st.just("5000"),
        "type": texts,
        "app_id": texts,
        "mandatory": st.booleans(),  # no property of the message; Celery leaves it among them
    },
)


def properties_of(own: Differs, headers: dict[str, Any], more: dict[str, Any], stamped: bool) -> dict[str, Any]:
    stamp = {"timestamp": own.timestamp} if stamped else {}
    values = {name: own.values[name] for name in SLOTS}
    return {"application_headers": {**headers, **values}, "correlation_id": own.task_id, **stamp, **more}


def py_amqp_frames(body: bytes, properties: dict[str, Any], where: Where) -> bytes:
    written: list[bytes] = []
    transport = SimpleNamespace(write=lambda frames: written.append(bytes(frames)))
    write = frame_writer(SimpleNamespace(frame_max=where.frame_max_bytes, bytes_sent=0), transport)
    arguments = dumps("Bssbb", (0, where.exchange, where.routing_key, where.mandatory, False))
    write(1, where.channel_id, spec.Basic.Publish, arguments, Message(body, **properties))
    return b"".join(written)


@given(messages, messages, fixed_headers, more_properties, st.booleans(), st.integers(50, 300), texts, st.booleans())
def test_the_frames_are_those_of_py_amqp(
    first: Differs,
    second: Differs,
    headers: dict[str, Any],
    more: dict[str, Any],
    stamped: bool,
    frame_max_bytes: int,
    routing_key: str,
    mandatory: bool,
) -> None:
    where = Where(1, frame_max_bytes, "", routing_key, mandatory)
    stencil = Stencil(properties_of(first, headers, more, stamped), first, where)
    for own in (first, second):
        assert stencil.frames(own) == py_amqp_frames(own.body, properties_of(own, headers, more, stamped), where)


def test_a_header_that_is_not_the_messages_own_stays() -> None:
    """A task sent by another has that one's root, whatever its own id."""
    where = Where(1, 131072, "", "io", mandatory=True)
    first, second = (
        Differs(b"[]", {"id": task_id, "root_id": task_id, "argsrepr": "()", "kwargsrepr": "{}"}, 0)
        for task_id in ("one", "two")
    )
    stencil = Stencil(
        {"application_headers": {"id": "one", "root_id": "parent"}, "correlation_id": "one"}, first, where
    )
    wanted = {"application_headers": {"id": "two", "root_id": "parent"}, "correlation_id": "two"}
    assert stencil.frames(second) == py_amqp_frames(b"[]", wanted, where)
