"""What may be handed to `publish_many`."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery, chain, group

from celery_workers import Publisher, TaskCall, Wait
from celery_workers.calls import as_call

app = Celery("calls", broker="memory://", set_as_current=False)


@app.task(name="mail.send", shared=False)  # an app finalized later would have it too
def send_mail(number: int) -> None:
    """Nothing; only its signature is used."""


def test_a_signature_is_a_call_with_its_options() -> None:
    call = as_call(send_mail.s(7).set(priority=6, task_id="7"))
    assert (call.name, tuple(call.args), call.task_id, call.options) == ("mail.send", (7,), "7", {"priority": 6})


def test_a_call_stays_what_it_is_and_names_its_task() -> None:
    call = TaskCall(send_mail, args=(7,))
    assert as_call(call) is call
    assert call.name == "mail.send"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (chain(send_mail.s(1), send_mail.s(2)), "chain"),
        (group(send_mail.s(1), send_mail.s(2)), "group"),
        ("mail.send", "str"),
    ],
)
def test_anything_but_one_task_is_refused(given: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"not a {kind}"):
        as_call(given)  # type: ignore[arg-type]


def test_figures_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="seconds must be at least 0"):
        Wait(-1)
    with pytest.raises(ValueError, match="window must be at least 1"):
        Publisher(app).publish_many([], window=0)


@pytest.mark.parametrize("wrong", [5, "fail", object()])
def test_a_choice_for_a_full_queue_that_is_none_is_refused_by_name(wrong: Any) -> None:
    for make in (
        lambda: Publisher(app, when_full=wrong),
        lambda: Publisher(app).publish("t", when_full=wrong),
        lambda: Publisher(app).publish_many([], when_full=wrong),
    ):
        with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
            make()


def test_any_transport_will_do_for_many_though_only_amqp_confirms() -> None:
    outcomes = list(Publisher(app).publish_many(send_mail.s(n) for n in range(20)))
    assert [outcome.status for outcome in outcomes] == ["accepted"] * 20
    with app.connection_for_read() as connection:
        assert connection.SimpleQueue(app.conf.task_default_queue).qsize() == 20
