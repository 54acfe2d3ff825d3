"""Where pods find room, and whether their image is there already."""

from __future__ import annotations

from dataclasses import dataclass

from harness.simulation.model import Nodes, WorkerClass


@dataclass
class _Node:
    milli_cores: float
    milli_bytes: float
    image_at: float | None = None  # when it has the image, None: nobody has asked for it


class Rooms:
    """What the nodes have left for pods. Without stated rooms there is one node on which everything fits."""

    def __init__(self, nodes: Nodes) -> None:
        rooms = nodes.rooms or ((float("inf"), float("inf")),)
        self._nodes = [_Node(cores, 1000 * size) for cores, size in rooms]
        self._placed: dict[int, tuple[_Node, WorkerClass]] = {}

    def place(self, pod: int, worker_class: WorkerClass, *, now: float, image_seconds: float) -> float | None:
        """Give a pod the fitting node with most cores left; return how long its image takes, None where none fits."""
        cores, size = worker_class.cpu_request_milli or 0, worker_class.memory_request_milli or 0
        fitting = [node for node in self._nodes if node.milli_cores >= cores and node.milli_bytes >= size]
        if not fitting:
            return None
        node = max(fitting, key=lambda each: each.milli_cores)
        node.milli_cores -= cores
        node.milli_bytes -= size
        self._placed[pod] = (node, worker_class)
        if node.image_at is None:
            node.image_at = now + image_seconds
        return max(node.image_at - now, 0.0)

    def free(self, pod: int) -> None:
        """Take back the room of a pod that is gone, if it had some."""
        node, worker_class = self._placed.pop(pod, (None, None))
        if node is not None and worker_class is not None:
            node.milli_cores += worker_class.cpu_request_milli or 0
            node.milli_bytes += worker_class.memory_request_milli or 0
