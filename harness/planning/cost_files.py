"""Reading price files."""

from __future__ import annotations

from pathlib import Path

from harness.chart.yaml_strict import load_document
from harness.errors import InputError
from harness.simulation.cost import NodeType, Prices
from harness.spike.sections import Section

EXAMPLE = Path(__file__).resolve().parents[2] / "loadtests" / "prices" / "example.yaml"


def load_prices(path: Path | None = None) -> Prices:
    """Read a price file, the example's by default. Raises InputError naming the file, the line, the key and the fix."""
    root = Section(load_document(path or EXAMPLE))
    prices = Prices(
        name=root.text("name"),
        source=root.text("source"),
        currency=root.text("currency"),
        cpu_core_hour=root.number("cpu_core_hour", least=0),
        memory_gib_hour=root.number("memory_gib_hour", least=0),
    )
    root.end()
    if prices.cpu_core_hour == 0 and prices.memory_gib_hour == 0:
        root.fail("both prices are 0, so nothing costs anything; state what an hour of one of them costs")
    return prices


def node_of(text: str) -> NodeType:
    """Read CORES,GIB,PRICE. Raises InputError."""
    try:
        cores, memory, price = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--node {text}: write cores, GiB and price an hour, as in 4,16,0.19") from None
    if min(cores, memory, price) <= 0:
        raise InputError(f"--node {text}: each of cores, GiB and price must be above 0, as in 4,16,0.19")
    return NodeType(cores=cores, memory_gib=memory, per_hour=price)
