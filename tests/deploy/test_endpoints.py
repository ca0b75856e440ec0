"""Ports: the one asked for, one of a range, Dask's own, any; and what is said when there is none."""

from __future__ import annotations

import socket

import pytest

from offload.deploy.endpoints import PortsExhaustedError, free_port, ports_for_workers
from offload.errors import OffloadError
from tests.deploy.test_local import free_range

HOST = "127.0.0.1"


def taken() -> socket.socket:
    return socket.create_server((HOST, free_range(1)[0]))


def test_a_wanted_port_is_given_or_refused() -> None:
    with taken() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortsExhaustedError, match=f"port {port}"):
            free_port(HOST, port, None)
    assert free_port(HOST, port, None) == port


def test_a_range_is_kept_to() -> None:
    with taken() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortsExhaustedError, match=f"from {port} to {port}"):
            free_port(HOST, None, (port, port))
        assert free_port(HOST, None, (port, min(port + 20, 65535))) > port


def test_what_another_service_was_given_is_left_to_it() -> None:
    port = free_range(2)[0]
    assert free_port(HOST, None, None, port, but=port + 1) == port
    assert free_port(HOST, None, None, port, but=port) != port
    assert {free_port(HOST, None, (port, port + 1), but=port + 1) for _ in range(20)} == {port}
    with pytest.raises(PortsExhaustedError):
        free_port(HOST, None, (port, port), but=port)


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    with taken() as listener:
        port = listener.getsockname()[1]
        assert free_port(HOST, None, None, port) != port
    assert free_port(HOST, None, None, port) == port


def test_workers_leave_services_their_ports() -> None:
    services = ["https://127.0.0.1:47001", "tls://127.0.0.1:47003"]
    assert sorted(ports_for_workers((47001, 47004), services)) == [47002, 47004]


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(OffloadError, match="no address of this machine"):
        free_port("192.0.2.1", None, None)
