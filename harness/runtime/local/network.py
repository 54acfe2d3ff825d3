"""What processes of this machine receive and send over TCP, from the kernel's own figures (Linux, man 7 sock_diag).

The kernel counts per socket, and forgets a socket that is closed: what one moves between the last look and its end is
missed. Brokers' and databases' connections live long; the bytes of a short HTTP call may be left out. Payload alone
counts, without the headers that a cluster's figures include.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_SOCK_DIAG, _BY_FAMILY = 4, 20  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_INFO = 2  # INET_DIAG_INFO, a struct tcp_info
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_INODE_AT, _MESSAGE_BYTES = 68, 72  # in and of struct inet_diag_msg
_COUNTS_AT = 120  # of tcpi_bytes_acked and tcpi_bytes_received, 8 bytes each
_ALL_STATES = 0xFFFFFFFF
_ANSWER_SECONDS = 1.0


@dataclass(frozen=True)
class Bytes:
    """What was received and sent, since the beginning or since a look."""

    received: int = 0
    sent: int = 0

    def __add__(self, other: Bytes) -> Bytes:
        return Bytes(self.received + other.received, self.sent + other.sent)


class NetworkMeter:
    """Adds up what the sockets of sessions have moved, look by look. Pure."""

    def __init__(self) -> None:
        self._seen: dict[int, Bytes] = {}
        self._totals: dict[int, Bytes] = {}

    def add(self, sockets: Mapping[int, Bytes], owners: Mapping[int, int]) -> dict[int, Bytes]:
        """Take one look: the counts of each socket and, by socket, its session; return each session's total."""
        for inode, session in owners.items():
            if inode in sockets:
                now, before = sockets[inode], self._seen.get(inode, Bytes())
                grown = Bytes(max(now.received - before.received, 0), max(now.sent - before.sent, 0))
                self._totals[session] = self._totals.get(session, Bytes()) + grown
        self._seen = dict(sockets)
        return dict(self._totals)

    def forget(self, sessions: Iterable[int]) -> None:
        """Keep the totals of these sessions only."""
        kept = set(sessions)
        self._totals = {session: total for session, total in self._totals.items() if session in kept}


def tcp_sockets() -> dict[int, Bytes]:
    """Return what each TCP socket of this machine has moved, by inode; empty where the kernel does not say."""
    found: dict[int, Bytes] = {}
    with contextlib.suppress(OSError, AttributeError):  # another system, or a sandbox without netlink
        for family in (socket.AF_INET, socket.AF_INET6):
            found.update(_dump(family))
    return found


def owners_of(processes: Mapping[int, Iterable[int]]) -> dict[int, int]:
    """Return the session of each socket, by inode; `processes` are the process ids of each session."""
    found = {}
    for session, pids in processes.items():
        for pid in pids:
            for inode in _socket_inodes(pid):
                found[inode] = session
    return found


def _socket_inodes(pid: int) -> Iterator[int]:
    directory = PROC / str(pid) / "fd"
    try:
        names = os.listdir(directory)  # noqa: PTH208  (names are enough)
    except OSError:  # it ended, or is another user's
        return
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            target = os.readlink(f"{directory}/{name}")  # noqa: PTH115  (called often)
            if target.startswith("socket:["):
                yield int(target[8:-1])


def _dump(family: int) -> Iterator[tuple[int, Bytes]]:
    request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ALL_STATES)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as channel:
        channel.settimeout(_ANSWER_SECONDS)
        channel.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
        while True:
            data = channel.recv(1 << 20)
            for kind, message in _messages(data):
                if kind in (_DONE, _ERROR):
                    return
                parsed = parse_socket(message)
                if parsed is not None:
                    yield parsed


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def parse_socket(message: bytes) -> tuple[int, Bytes] | None:
    """Return a socket's inode and counts out of one struct inet_diag_msg with its attributes, None without counts."""
    (inode,) = struct.unpack_from("=I", message, _INODE_AT)
    rest = message[_MESSAGE_BYTES:]
    while len(rest) >= 4:
        length, kind = struct.unpack_from("=HH", rest)
        if kind == _INFO and length >= 4 + _COUNTS_AT + 16:
            sent, received = struct.unpack_from("=QQ", rest, 4 + _COUNTS_AT)
            return inode, Bytes(received, sent)
        if length < 4:
            return None
        rest = rest[(length + 3) & ~3 :]
    return None
