"""What the service answers, byte by byte: as somebody who wrote another client would see it."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from offload.errors import BufferMissingError, OffloadError, StorageError, UsageError
from offload.http.client import Answer, Client
from offload.identity.checksums import BLOCK, checksum
from offload.storage.http import protocol
from offload.storage.http.rows import pack, unpack
from offload.storage.http.store import HttpStore
from offload.storage.records import Entry
from tests.storage.service.serving import TOKEN, Served, raw

DATA = bytes(range(256)) * 12_000  # three blocks
NAME = checksum(DATA)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path, tls=False) as served:
        served.store.put([DATA, b"small"])
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    client = served.client()
    yield client
    client.close()


def get(client: Client, **headers: str) -> Answer:
    return client.call("GET", f"/v1/buffers/{NAME}", headers=headers)


def test_a_buffer_and_its_headers(client: Client) -> None:
    for _ in range(2):  # verified, then sent by the kernel
        answer = get(client)
        assert answer.body == DATA
        assert answer.headers["etag"] == f'"{NAME}"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-length"] == str(len(DATA))
        assert answer.headers["server"] == "offload"


def test_a_buffer_that_the_client_has_is_not_sent(client: Client) -> None:
    answer = get(client, **{"If-None-Match": f'"{NAME}"'})
    assert (answer.status, answer.body) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        (f"{BLOCK - 1}-{BLOCK}", BLOCK - 1, BLOCK + 1),
        (f"{BLOCK}-", BLOCK, len(DATA)),
        ("-5", len(DATA) - 5, len(DATA)),
        ("5-99999999999", 5, len(DATA)),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_ranges(client: Client, asked: str, start: int, stop: int, known: bool) -> None:
    if known:
        get(client)
    answer = get(client, Range=f"bytes={asked}", **{"Want-Content-Digest": "sha-256=1"})
    assert answer.status == 206
    assert answer.body == DATA[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    digest = b64encode(sha256(DATA[start:stop]).digest()).decode()
    assert answer.headers["content-digest"] == f"sha-256=:{digest}:"


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=9-2", "lines=1-2", "bytes=x"])
def test_ranges_that_there_are_not(client: Client, asked: str) -> None:
    with pytest.raises(UsageError, match="Range Not Satisfiable"):
        get(client, Range=asked)


def test_a_long_range_is_streamed(tmp_path: Path, served: Served, client: Client) -> None:
    data = bytes(20 * BLOCK + 7)
    [name] = served.store.put([data])
    for _ in range(2):
        answer = client.call("GET", f"/v1/buffers/{name}", headers={"Range": "bytes=3-"})
        assert answer.status == 206
        assert answer.body == data[3:]
        assert client.call("GET", f"/v1/buffers/{name}").body == data


def test_head_tells_the_size(client: Client) -> None:
    answer = client.call("HEAD", f"/v1/buffers/{NAME}")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, str(len(DATA)), b"")
    with pytest.raises(OffloadError):
        client.call("HEAD", f"/v1/buffers/{checksum(b'absent')}")


def test_many_buffers_as_frames(client: Client) -> None:
    asked = [checksum(b"small"), checksum(b"absent"), NAME]
    answer = client.call("POST", "/v1/get", protocol.pack_checksums(asked))
    assert answer.headers["content-type"] == protocol.FRAMES
    small = b"\0\0\0\x05small\0\0\0\0" + b"\xff\xff\xff\xff"
    assert answer.body[: len(small)] == small
    assert answer.body[len(small) :] == b"".join(protocol.frame([DATA]))


def test_buffers_are_put_as_frames(client: Client, served: Served) -> None:
    body = b"\0\0\0\x03one\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\x02tw\0\0\0\x01o\0\0\0\0"
    answer = client.call("POST", "/v1/put", body)
    assert protocol.unpack_checksums(answer.body) == [checksum(b"one"), checksum(b""), checksum(b"two")]
    assert served.store.get([checksum(b"two")]) == [b"two"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/put", b"\0\0"),
        ("/v1/put", b"\0\0\0\x05abc"),
        ("/v1/put", b"\0\0\0\x03abc"),
        ("/v1/put", b"\xff\xff\xff\xff"),
        ("/v1/put", b"\x7f\0\0\0abc"),
        ("/v1/has", b"\0" * 33),
        ("/v1/lookup", b"\0" * 31),
        ("/v1/database/record", b"no rows"),
        ("/v1/database/record", pack([[["too", "few"]]])),
        ("/v1/database/record", pack([[["x"] * 11]])),
        ("/v1/database/results", pack([["no checksum"]])),
        ("/v1/database/runs", pack(["python"])),
        ("/v1/database/runs", pack([None, None, None, None, 2**63, None])),
        ("/v1/database/nearest", pack([1, "label", 2])),
        ("/v1/database/close", pack([])),
        ("/v1/leases?lease=-1", b""),
        ("/v1/leases?lease=nan", b""),
        ("/v1/collect?max_size=many", b""),
        ("/v2/has", b""),
    ],
)
def test_what_makes_no_sense_is_the_clients_fault(client: Client, served: Served, path: str, body: bytes) -> None:
    before = served.store.usage()
    with pytest.raises(UsageError):
        client.call("POST", path, body)
    assert served.store.usage() == before
    assert served.database.runs() == []


def test_a_name_that_is_not_the_contents(client: Client, served: Served) -> None:
    with pytest.raises(StorageError, match="has the checksum"):
        client.call("PUT", f"/v1/buffers/{checksum(b'absent')}", b"something else")
    assert served.store.has([checksum(b"something else"), checksum(b"absent")]) == [False, False]


def test_rows(client: Client) -> None:
    assert unpack(client.call("POST", "/v1/database/statistics", pack([])).body)["runs"] == 0
    assert unpack(client.call("GET", "/v1/usage").body) == [2, len(DATA) + 5, 0]


def test_it_says_what_it_is(client: Client) -> None:
    assert client.call("GET", "/healthcheck").body == b"OK"
    about = json.loads(client.call("GET", "/v1/about").body)
    assert (about["service"], about["store"], about["database"]) == ("offload", True, True)


def test_labels_that_are_no_text(served: Served, client: Client) -> None:
    assert unpack(pack(["caf\udce9"])) == ["caf\udce9"]
    assert unpack(client.call("POST", "/v1/database/find", pack([None, "caf\udce9", None])).body) == []


HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        "Host: x\r\n",
        "Host: x\r\nAuthorization: Bearer wrong-token-of-some-length\r\n",
        f"Host: x\r\nAuthorization: Basic {TOKEN}\r\n",
        f"Host: x\r\nAuthorization: Bearer {TOKEN}x\r\n",
        f"Host: x\r\nAuthorization: Bearer {TOKEN[:-1]}\r\n",
        f"Host: x\r\nX-Token: {TOKEN}\r\n",
        "Host: x\r\nAuthorization: Bearer \xff\xfe\r\n",
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        "GET /healthcheck",
        f"GET /v1/buffers/{NAME}",
        f"HEAD /v1/buffers/{NAME}",
        "POST /v1/has",
        "POST /v1/put",
        f"GET /v1/about?token={TOKEN}",
        "GET /v1/usage",
        "GET /nowhere",
        "OPTIONS /v1/has",
    ],
)
def test_nothing_without_the_token(served: Served, line: str, headers: str) -> None:
    text = f"{line} HTTP/1.1\r\n{headers}\r\n".encode("latin-1")
    answer = raw(served.url, text)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert body in (b"", b'{"error": "UsageError", "message": "a token is needed", "hint": null}')
    assert b"aiohttp" not in head


def test_a_body_without_the_token_is_not_read(served: Served) -> None:
    text = b"POST /v1/put HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    assert raw(served.url, text).startswith(b"HTTP/1.1 401 ")


def test_a_body_is_asked_for_with_the_token(served: Served) -> None:
    head = f"POST /v1/has HTTP/1.1\r\n{HEAD}Content-Length: 0\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    assert raw(served.url, head.encode()).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize("header", ["Origin: https://example.org", "Sec-Fetch-Site: cross-site", "Origin: null"])
def test_requests_of_web_pages_are_refused(served: Served, header: str) -> None:
    answer = raw(served.url, f"GET /v1/usage HTTP/1.1\r\n{HEAD}{header}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"Access-Control" not in answer


def test_a_client_with_a_wrong_token_learns_why(served: Served) -> None:
    store = HttpStore(Client(served.url, "a-token-from-elsewhere"))
    with pytest.raises(StorageError, match="does not know this token"):
        store.has([NAME])
    store.close()


def test_names_that_would_get_into_paths(client: Client) -> None:
    store = HttpStore(client)
    for text in ("../usage", "x\r\nHost: y", ""):
        with pytest.raises(OffloadError, match="no checksum"):
            store.open(text)
        with pytest.raises(OffloadError, match="no checksum"):
            store.put_stream([b""], expected=text)


def test_absent(client: Client) -> None:
    with pytest.raises(BufferMissingError, match="not in the store"):
        HttpStore(client).open(checksum(b"absent"))


def test_the_service_asks_its_database_what_buffers_took_to_compute(served: Served, client: Client) -> None:
    cheap, dear = served.store.put([b"c" * 1000, b"d" * 1000])
    for record, result, seconds in ((b"cheap", cheap, 0.0), (b"dear", dear, 100.0)):
        entry = Entry(checksum(record), "python", "module:f", None, record, result, seconds=seconds)
        served.database.record([entry])
    served.store.delete([NAME, checksum(b"small")])
    assert HttpStore(client).collect(1000).buffers == 1
    assert served.store.has([cheap, dear]) == [False, True]


@pytest.mark.parametrize("way", ["put", "put_file", "put_stream"])
@pytest.mark.parametrize("known", [False, True])
def test_good_bytes_that_are_put_over_damage_are_kept(
    served: Served, client: Client, tmp_path: Path, way: str, known: bool
) -> None:
    if known:  # the service has just seen that the file is good
        get(client)
    place = tmp_path / "store" / "buffers" / NAME[:2] / NAME
    before = place.stat()
    place.chmod(0o644)
    with place.open("r+b") as file:
        file.seek(BLOCK + 5)
        file.write(b"damage")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    store = HttpStore(client)
    if way == "put":
        store.put([DATA])
    elif way == "put_stream":
        store.put_stream([DATA], NAME)
    else:
        (tmp_path / "file").write_bytes(DATA)
        store.put_file(str(tmp_path / "file"), NAME)
    assert served.store.get([NAME]) == [DATA]
    assert store.get([NAME]) == [DATA]
