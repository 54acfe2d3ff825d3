"""The controller's arithmetic on plain numbers: the one source of every formula.

Only int, float, bool and indexable sequences of ints go in, only numbers come out, nothing is raised, so the same
functions serve the readable core and a compiled simulator. Integers behave as Go's int32 and int64 do, floats are
float64 in the controller's order of operations, and times are whole nanoseconds on one axis.

Source: pkg/controller/podautoscaler (horizontal.go, replica_calculator.go, metrics/utilization.go), Kubernetes 1.34.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MAX_INT32 = 2147483647
MIN_INT32 = -2147483648
MAX_INT64 = 9223372036854775807
MIN_INT64 = -9223372036854775808

PODS = 0
PERCENT = 1

SELECT_MAX = 0
SELECT_MIN = 1
SELECT_DISABLED = 2

NO_POLICY = -1

NEVER = -4611686018427387904  # a time before all others, far enough from the edge to add to

# Without `behavior` one sync may at most double the replicas, or reach four.
LEGACY_GROWTH_FACTOR = 2.0
LEGACY_GROWTH_MINIMUM = 4.0


def wrap32(number: int) -> int:
    """Overflow as int32 does."""
    return ((number + 2147483648) & 4294967295) - 2147483648


def wrap64(number: int) -> int:
    """Overflow as int64 does (in steps of 2**62, so that no constant is wider than 64 bits)."""
    quarter = 4611686018427387904
    while number > MAX_INT64:
        number = number - quarter - quarter - quarter - quarter
    while number < MIN_INT64:
        number = number + quarter + quarter + quarter + quarter
    return number


def to_int32(number: float) -> int:
    """Cut the fraction as Go's `int32(float64)` does on amd64: not a number and out of range become -2**31."""
    if number > -2147483649.0 and number < 2147483648.0:
        return int(number)
    return MIN_INT32


def ceiling32(number: float) -> int:
    """Return `int32(math.Ceil(number))`."""
    if number > -2147483649.0 and number < 2147483648.0:
        return to_int32(float(math.ceil(number)))
    return MIN_INT32


def divide(number: int, by: int) -> int:
    """Divide integers towards zero, as Go does."""
    quotient = abs(number) // abs(by)
    return quotient if (number < 0) == (by < 0) else -quotient


def ratio(number: float, by: float) -> float:
    """Divide float64: by zero gives an infinity or not-a-number instead of an error."""
    if by != 0.0:
        return number / by
    if number == 0.0 or number != number:  # only not-a-number differs from itself
        return math.nan
    return math.inf if number > 0.0 else -math.inf


def within(usage_ratio: float, tolerance_down: float, tolerance_up: float) -> bool:
    """Tell whether a ratio is too near 1 to act on."""
    return (1.0 - tolerance_down) <= usage_ratio and usage_ratio <= (1.0 + tolerance_up)


def utilization_percent(usage_milli: int, request_milli: int) -> int:
    """Return whole per cent of the request in use, cut (62.9 -> 62)."""
    return wrap32(divide(wrap64(wrap64(usage_milli) * 100), wrap64(request_milli)))


def cpu_untrusted(
    ready: bool,
    started: int,
    changed: int,
    sampled: int,
    window: int,
    now: int,
    initialization: int,
    readiness_delay: int,
) -> bool:
    """Tell whether a pod's CPU sample does not count yet. All times in nanoseconds, NEVER for one that is not known.

    `changed` is when its readiness changed last, `sampled` the end of its sample and `window` that one's length. A
    young pod counts once a whole sample has been taken after it became ready; an older one that is not ready counts if
    it was ready at some time.
    """
    if started + initialization > now:
        return not ready or sampled < changed + window
    return not ready and started + readiness_delay > changed


def missing_pod_milli(request_milli: int, target_percent: int) -> int:
    """Return what a pod without a sample is taken to use when the rest points down: its request or the target."""
    return divide(wrap64(request_milli * max(100, target_percent)), 100)


def settle(
    current: int,
    first_ratio: float,
    second_ratio: float,
    counted_pods: int,
    tolerance_down: float,
    tolerance_up: float,
) -> int:
    """Return the proposal once missing and unready pods were filled in: never against the first ratio's direction."""
    if within(second_ratio, tolerance_down, tolerance_up):
        return current
    if (first_ratio < 1.0 and second_ratio > 1.0) or (first_ratio > 1.0 and second_ratio < 1.0):
        return current
    proposal = ceiling32(second_ratio * float(counted_pods))
    if (second_ratio < 1.0 and proposal > current) or (second_ratio > 1.0 and proposal < current):
        return current
    return proposal


def utilization_replicas(
    current: int,
    target_percent: int,
    ready: int,
    ready_usage_milli: int,
    ready_request_milli: int,
    missing: int,
    missing_request_milli: int,
    missing_usage_milli: int,
    unready: int,
    unready_request_milli: int,
    tolerance_down: float,
    tolerance_up: float,
) -> int:
    """Return the proposal of a resource metric with a Utilization target.

    `ready`: pods whose sample counts (at least one, their requests not zero); `missing_usage_milli`: the sum of
    `missing_pod_milli` over the pods without a sample.
    """
    percent = utilization_percent(ready_usage_milli, ready_request_milli)
    first = ratio(float(percent), float(target_percent))
    up_with_unready = unready > 0 and first > 1.0
    if not up_with_unready and missing == 0:
        if within(first, tolerance_down, tolerance_up):
            return current
        return ceiling32(first * float(ready))
    usage, request, counted = ready_usage_milli, ready_request_milli, ready
    if missing > 0 and first != 1.0:  # at exactly 1 (and for not-a-number) missing pods stay out of the sums
        usage, request, counted = usage, request + missing_request_milli, counted + missing
        if first < 1.0:
            usage = usage + missing_usage_milli
    if up_with_unready:
        request, counted = request + unready_request_milli, counted + unready
    second = ratio(float(utilization_percent(usage, request)), float(target_percent))
    return settle(current, first, second, counted, tolerance_down, tolerance_up)


def average_replicas(
    current: int,
    target_milli: int,
    ready: int,
    ready_usage_milli: int,
    missing: int,
    unready: int,
    tolerance_down: float,
    tolerance_up: float,
) -> int:
    """Return the proposal of a resource or pods metric with an AverageValue target (`ready` at least one)."""
    first = ratio(float(divide(wrap64(ready_usage_milli), ready)), float(target_milli))
    up_with_unready = unready > 0 and first > 1.0
    if not up_with_unready and missing == 0:
        if within(first, tolerance_down, tolerance_up):
            return current
        return ceiling32(first * float(ready))
    usage, counted = ready_usage_milli, ready
    if missing > 0 and first != 1.0:
        counted = counted + missing
        if first < 1.0:
            usage = usage + target_milli * missing
    if up_with_unready:
        counted = counted + unready
    second = ratio(float(divide(wrap64(usage), counted)), float(target_milli))
    return settle(current, first, second, counted, tolerance_down, tolerance_up)


def external_average_replicas(
    status_replicas: int,
    total_milli: int,
    target_milli: int,
    tolerance_down: float,
    tolerance_up: float,
) -> int:
    """Return the proposal of an external metric with an AverageValue target.

    Compared with the replicas that exist (`status_replicas`), not with those wanted. `total_milli` is not negative.
    """
    share = ratio(float(total_milli), float(target_milli) * float(status_replicas))
    if within(share, tolerance_down, tolerance_up):
        return status_replicas
    wanted = ratio(float(total_milli), float(target_milli))
    return MAX_INT32 if wanted > float(MAX_INT32) else ceiling32(wanted)


def external_value_replicas(
    current: int,
    total_milli: int,
    target_milli: int,
    ready_pods: int,
    tolerance_down: float,
    tolerance_up: float,
) -> int:
    """Return the proposal of an external metric with a Value target; `ready_pods` are Running and Ready."""
    share = ratio(float(total_milli), float(target_milli))
    if current == 0:
        return ceiling32(share)
    if within(share, tolerance_down, tolerance_up):
        return current
    return ceiling32(share * float(ready_pods))


def changed_within(period_nanoseconds: int, now: int, changes: Sequence[int], times: Sequence[int]) -> int:
    """Return how many replicas one direction's events changed in the last period (an event as old does not count)."""
    total = 0
    for i in range(len(times)):
        if times[i] > now - period_nanoseconds:
            total = wrap32(total + changes[i])
    return total


def policy_limit(up: bool, kind: int, value: int, start: int) -> int:
    """Return the replicas one policy allows, counted from the replicas at the start of its period."""
    if kind == PODS:
        return wrap32(start + value) if up else wrap32(start - value)
    if up:
        return ceiling32(float(start) * (1.0 + float(value) / 100.0))
    return to_int32(float(start) * (1.0 - float(value) / 100.0))


def rate_limit(
    up: bool,
    current: int,
    now: int,
    select: int,
    kinds: Sequence[int],
    values: Sequence[int],
    periods_nanoseconds: Sequence[int],
    up_changes: Sequence[int],
    up_times: Sequence[int],
    down_changes: Sequence[int],
    down_times: Sequence[int],
) -> tuple[int, int]:
    """Return the furthest replica count one direction's rules allow now, and the index of the policy that says so.

    Never behind `current`: rules hold, they do not turn a change round. Disabled gives (current, NO_POLICY).
    """
    if select == SELECT_DISABLED:
        return current, NO_POLICY
    furthest_wins = up == (select == SELECT_MAX)
    limit, chosen = 0, NO_POLICY
    for i in range(len(kinds)):
        added = changed_within(periods_nanoseconds[i], now, up_changes, up_times)
        removed = changed_within(periods_nanoseconds[i], now, down_changes, down_times)
        allowed = policy_limit(up, kinds[i], values[i], wrap32(wrap32(current - added) + removed))
        if chosen == NO_POLICY or (allowed > limit if furthest_wins else allowed < limit):
            limit, chosen = allowed, i
    return (max(limit, current) if up else min(limit, current)), chosen


def stabilized(
    current: int,
    proposal: int,
    now: int,
    up_window_nanoseconds: int,
    down_window_nanoseconds: int,
    replicas: Sequence[int],
    times: Sequence[int],
) -> int:
    """Return the proposal held back by recent ones: the lowest of the up window, the highest of the down one."""
    lowest, highest = proposal, proposal
    for i in range(len(times)):
        if times[i] > now - up_window_nanoseconds:
            lowest = min(lowest, replicas[i])
        if times[i] > now - down_window_nanoseconds:
            highest = max(highest, replicas[i])
    return min(max(current, lowest), highest)


def stabilized_legacy(
    proposal: int, now: int, window_nanoseconds: int, replicas: Sequence[int], times: Sequence[int]
) -> int:
    """Return the highest proposal of the window (one as old as the window still counts), as without `behavior`."""
    highest = proposal
    for i in range(len(times)):
        if times[i] >= now - window_nanoseconds:
            highest = max(highest, replicas[i])
    return highest


def legacy_growth_limit(current: int) -> int:
    """Return the most replicas one sync may reach without `behavior`."""
    return to_int32(max(LEGACY_GROWTH_FACTOR * float(current), LEGACY_GROWTH_MINIMUM))


def last_older(times: Sequence[int], cutoff: int) -> int:
    """Return the index of the last entry before the cutoff, the slot that is overwritten next, or -1."""
    slot = -1
    for i in range(len(times)):
        if times[i] < cutoff:
            slot = i
    return slot
