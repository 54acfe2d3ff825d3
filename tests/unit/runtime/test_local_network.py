"""Bytes of a session's sockets."""

from __future__ import annotations

import os
import socket

import pytest

from harness.runtime.local.network import Bytes, NetworkMeter, owners_of, parse_socket, tcp_sockets


def test_what_sockets_move_adds_up_over_those_that_close() -> None:
    meter = NetworkMeter()
    assert meter.add({1: Bytes(10, 1), 9: Bytes(5, 5)}, {1: 100}) == {100: Bytes(10, 1)}
    assert meter.add({1: Bytes(15, 1), 2: Bytes(3, 4)}, {1: 100, 2: 100}) == {100: Bytes(18, 5)}
    assert meter.add({2: Bytes(4, 4)}, {2: 100}) == {100: Bytes(19, 5)}


def test_a_number_that_another_socket_got_never_takes_away() -> None:
    meter = NetworkMeter()
    meter.add({1: Bytes(10, 10)}, {1: 100})
    assert meter.add({1: Bytes(2, 2)}, {1: 100}) == {100: Bytes(10, 10)}


def test_a_session_that_is_gone_is_forgotten() -> None:
    meter = NetworkMeter()
    meter.add({1: Bytes(1, 1), 2: Bytes(2, 2)}, {1: 100, 2: 200})
    meter.forget([200])
    assert meter.add({}, {}) == {200: Bytes(2, 2)}


def test_the_kernel_counts_real_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        other, _ = server.accept()
        with other:
            client.sendall(b"x" * 1000)
            other.recv(1000, socket.MSG_WAITALL)
            other.sendall(b"y" * 70)
            client.recv(70, socket.MSG_WAITALL)
            found = tcp_sockets()
            if not found:
                pytest.skip("this kernel does not tell")
            inode = os.fstat(client.fileno()).st_ino
            assert found[inode].received == 70
            assert found[inode].sent in range(1000, 1002)  # the handshake counts as one
            assert owners_of({7: [os.getpid()]})[inode] == 7


def test_a_socket_without_counts_says_nothing() -> None:
    assert parse_socket(bytes(72)) is None
    assert parse_socket(bytes(72) + b"\x08\x00\x05\x00\x00\x00\x00\x00") is None
