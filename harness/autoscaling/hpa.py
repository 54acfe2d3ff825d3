"""One sync of a HorizontalPodAutoscaler: from what is seen to the replicas that are set."""

from __future__ import annotations

from dataclasses import dataclass

from harness.autoscaling import metrics
from harness.autoscaling.behavior import State, first_recommendation, limit, store_event
from harness.autoscaling.metrics import Proposal
from harness.autoscaling.observation import Observation, nanoseconds
from harness.autoscaling.spec import HpaSpec
from harness.autoscaling.wording import proposal_text


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one sync decided.

    `current` is the scale's spec as found, `desired` what it is set to (the same when nothing changes). `wanted` is
    what the metrics asked for together, None when they were not consulted or not usable. `winner` is the proposal that
    decided it. `limited_by` says what held the change back, in words, empty when nothing did. `note` explains a sync
    that did not weigh metrics at all.
    """

    current: int
    desired: int
    wanted: int | None = None
    winner: Proposal | None = None
    proposals: tuple[Proposal, ...] = ()
    limited_by: str = ""
    note: str = ""

    @property
    def changed(self) -> bool:
        """Whether the replicas are to be set anew."""
        return self.desired != self.current

    @property
    def reason(self) -> str:
        """Say in one line which metric decided, its value, and what held it back.

        For example "s0-rabbitmq-io 5,200 (target 200 a pod) asks for 26: 1 -> 4, limited by +3 pods/60 s".
        """
        steps = f"{self.current} -> {self.desired}" if self.changed else f"stays at {self.desired}"
        if self.note:
            return f"{self.note}: {steps}"
        text = f"{proposal_text(self.winner)}: {steps}" if self.winner else steps
        return f"{text}, limited by {self.limited_by}" if self.limited_by else text


def decide(spec: HpaSpec, state: State, observation: Observation, *, now_seconds: float) -> tuple[Decision, State]:
    """Decide one sync and return the decision with the state for the next.

    The caller sets the target's replicas to `decision.desired`; `now_seconds` is on the same axis as the
    observation's times and does not go backwards.
    """
    now, current = nanoseconds(now_seconds), observation.spec_replicas
    state = first_recommendation(state, current=current, now=now)
    if current == 0 and spec.min_replicas != 0:
        return Decision(current=0, desired=0, note="scaled to zero by hand, the autoscaler stands still"), state
    if current > spec.max_replicas:
        return _move(
            spec,
            state,
            Decision(current=current, desired=spec.max_replicas, note=f"above maxReplicas {spec.max_replicas}"),
            now,
        )
    if current < spec.min_replicas:
        return _move(
            spec,
            state,
            Decision(current=current, desired=spec.min_replicas, note=f"below minReplicas {spec.min_replicas}"),
            now,
        )
    return _by_metrics(spec, state, observation, now)


def _by_metrics(spec: HpaSpec, state: State, observation: Observation, now: int) -> tuple[Decision, State]:
    current = observation.spec_replicas
    proposals = metrics.propose(spec, observation, now=now)
    wanted = metrics.combine(proposals, current=current)
    if wanted is None:
        decision = Decision(current=current, desired=current, proposals=proposals, note=_unusable(proposals))
        return decision, state
    limited, state = limit(spec, state, current=current, proposal=wanted, now=now)
    decision = Decision(
        current=current,
        desired=limited.replicas,
        wanted=wanted,
        winner=_winner(proposals),
        proposals=proposals,
        limited_by=limited.limit,
    )
    return _move(spec, state, decision, now)


def _move(spec: HpaSpec, state: State, decision: Decision, now: int) -> tuple[Decision, State]:
    after = store_event(spec.behavior, state, before=decision.current, after=decision.desired, now=now)
    return decision, after


def _winner(proposals: tuple[Proposal, ...]) -> Proposal | None:
    usable = [proposal for proposal in proposals if proposal.replicas is not None]
    return max(usable, key=lambda proposal: proposal.replicas or 0, default=None)


def _unusable(proposals: tuple[Proposal, ...]) -> str:
    failed = "; ".join(f"{proposal.metric.name}: {proposal.error}" for proposal in proposals if proposal.error)
    held = all(proposal.replicas is None for proposal in proposals)
    return failed if held else f"not scaling down while a metric is unusable ({failed})"
