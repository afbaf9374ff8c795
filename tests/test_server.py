"""The server: what is taken, what is refused and how, and that nothing half-done stays."""

import errno
import hashlib
import io
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import uvicorn
from click.testing import CliRunner
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from harness.cli import main
from submissions import desk, items, openapi, server, tokens
from submissions.desk import Board
from submissions.inbox import DAY, Inbox, Quotas
from submissions.incoming import Incoming, sweep
from submissions.items import PUBLISHED, RECEIVED, REJECTED, WITHDRAWN
from submissions.limits import Limits
from submissions.receipt import manifest
from tests.hosting import serving
from tests.judging import CARD, IDS, SHAPE, draw_data, hidden_frames, put, worker

REPOSITORY = Path(__file__).parents[1]
OCTETS = {"Content-Type": "application/octet-stream"}
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw_data(root)
    return root


@pytest.fixture
def board(data: Path, tmp_path: Path) -> Board:
    inbox = Inbox(tmp_path / "inbox", quotas=Quotas(100, 100))
    return Board(inbox, hidden_frames(data), ("custom",), Limits(spare_bytes=0))


@dataclass(frozen=True)
class Client:
    """An account at a server."""

    address: str
    token: str = ""

    def ask(self, verb: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        return requests.request(
            verb, f"{self.address}/api{path}", headers=headers, timeout=20, **options
        )

    def begin(self, files: Files, dataset: str = "custom") -> requests.Response:
        facts = {"dataset": dataset, "files": announcement(files)}
        return self.ask("POST", "/submissions", json=facts)

    def put(self, item: str, content: bytes, **options: Any) -> requests.Response:
        path = f"/submissions/{item}/files/{sha(content)}"
        return self.ask("PUT", path, **{"data": content, "headers": OCTETS, **options})

    def finish(self, item: str) -> requests.Response:
        return self.ask("POST", f"/submissions/{item}/finish")

    def withdraw(self, item: str) -> requests.Response:
        return self.ask("POST", f"/submissions/{item}/withdraw")

    def uploaded(self, files: Files) -> str:
        """The id of an upload whose files are all there."""
        item: str = self.begin(files).json()["id"]
        for content in files.values():
            assert self.put(item, content).status_code in (200, 201)
        return item


@contextmanager
def opened(board: Board, account: str = "ada") -> Iterator[Client]:
    with serving(board) as address:
        yield Client(address, tokens.make(board.inbox, account))


@pytest.fixture
def client(board: Board) -> Iterator[Client]:
    with opened(board) as made:
        yield made


@dataclass(frozen=True)
class Shared:
    """One server for the many tests that leave nothing behind but an upload."""

    board: Board
    address: str

    def client(self) -> Client:
        """A new account."""
        account = f"account{secrets.token_hex(4)}"
        return Client(self.address, tokens.make(self.board.inbox, account))


@pytest.fixture(scope="module")
def shared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    inbox = Inbox(tmp_path_factory.mktemp("shared") / "inbox", quotas=Quotas(100, 100))
    limits = Limits(spare_bytes=0, wrong_tokens="1000/minute")
    board = Board(inbox, hidden_frames(data), ("custom",), limits)
    with serving(board) as address:
        yield Shared(board, address)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def announcement(files: Files) -> dict[str, Any]:
    return {name: {"sha256": sha(each), "bytes": len(each)} for name, each in files.items()}


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "png")
    return buffer.getvalue()


def submission(seed: int = 0) -> Files:
    rng = np.random.default_rng(seed)
    maps = {f"scores/{i}.npy": npy(rng.normal(size=SHAPE).astype(np.float32)) for i in IDS}
    return {"submission.toml": CARD.encode(), **maps}


def on_disk(board: Board) -> list[str]:
    """All files below the payloads."""
    folder = board.inbox.folder / "payloads"
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --------------------------------------------------------------------------- what goes as it should


def test_what_was_uploaded_is_judged_and_published(
    board: Board, client: Client, data: Path, tmp_path: Path
) -> None:
    files = submission()
    item = client.uploaded(files)
    finished = client.finish(item)
    assert (finished.status_code, finished.json()["position"]) == (202, 1)
    assert manifest(board.inbox.payload(item)) == {n: sha(c) for n, c in files.items()}
    worker(board.inbox.folder, tmp_path / "runs", data).run(once=True)
    after = client.ask("GET", f"/submissions/{item}").json()
    assert (after["state"], after["missing"], after["position"]) == (PUBLISHED, [], None)
    assert (tmp_path / "runs" / after["run"] / "run.json").is_file()


def test_a_submission_tells_what_is_missing(shared: Shared) -> None:
    client = shared.client()
    files = submission()
    facts = client.begin(files).json()
    assert set(facts) == set(
        openapi.description()["components"]["schemas"]["Submission"]["required"]
    )
    assert (facts["state"], facts["complete"], facts["run"]) == (RECEIVED, None, "")
    assert facts["missing"] == [sha(files[name]) for name in sorted(files)]
    assert (facts["files"], facts["bytes"]) == (4, sum(map(len, files.values())))
    client.put(facts["id"], files["scores/b.npy"])
    missing = client.ask("GET", f"/submissions/{facts['id']}").json()["missing"]
    assert missing == [sha(files[n]) for n in sorted(files) if n != "scores/b.npy"]


def test_the_same_files_again_are_the_same_upload_until_it_is_withdrawn(client: Client) -> None:
    files = submission()
    first, again = client.begin(files), client.begin(dict(reversed(files.items())))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert client.begin(submission(1)).json()["id"] != first.json()["id"]
    client.uploaded(files)
    finished = client.finish(first.json()["id"]).json()
    assert finished["state"] == RECEIVED
    assert client.begin(files).json() == finished
    client.withdraw(finished["id"])
    later = client.begin(files)
    assert (later.status_code, later.json()["id"] == finished["id"]) == (201, False)


def test_another_account_with_the_same_files_has_an_upload_of_its_own(board: Board) -> None:
    with opened(board) as ada:
        bob = replace(ada, token=tokens.make(board.inbox, "bob"))
        assert ada.begin(submission()).json()["id"] != bob.begin(submission()).json()["id"]


def test_all_submissions_of_an_account_come_newest_first(shared: Shared) -> None:
    client = shared.client()
    made = [client.begin(submission(seed)).json()["id"] for seed in range(3)]
    assert [each["id"] for each in client.ask("GET", "/submissions").json()] == made[::-1]


def test_a_file_that_comes_again_changes_nothing(board: Board, client: Client) -> None:
    content = submission()["scores/a.npy"]
    item = client.begin(submission()).json()["id"]
    answers = [client.put(item, content) for _ in range(3)]
    assert [each.status_code for each in answers] == [201, 200, 200]
    assert all(each.json() == {"stored": True, "problems": []} for each in answers)
    assert on_disk(board) == [f"{item}/scores/a.npy"]


def test_equal_files_come_once(board: Board, client: Client) -> None:
    files = submission()
    files |= {"scores/b.npy": files["scores/a.npy"], "scores/c.npy": files["scores/a.npy"]}
    facts = client.begin(files).json()
    assert len(facts["missing"]) == 2
    for content in (files["submission.toml"], files["scores/a.npy"]):
        assert client.put(facts["id"], content).status_code == 201
    assert client.finish(facts["id"]).status_code == 202
    assert manifest(board.inbox.payload(facts["id"])) == {n: sha(c) for n, c in files.items()}


def test_a_file_may_come_twice_at_once(board: Board, client: Client) -> None:
    content = submission()["scores/a.npy"]
    item = client.begin(submission()).json()["id"]
    with ThreadPoolExecutor(6) as pool:
        codes = [
            each.status_code for each in pool.map(lambda _: client.put(item, content), range(6))
        ]
    assert set(codes) <= {200, 201}
    assert on_disk(board) == [f"{item}/scores/a.npy"]
    assert board.inbox.payload(item).joinpath("scores/a.npy").read_bytes() == content


def test_finishing_again_answers_the_same(board: Board, client: Client) -> None:
    item = client.uploaded(submission())
    first = client.finish(item)
    assert (client.finish(item).json(), client.finish(item).status_code) == (first.json(), 202)
    assert not board.inbox.parts(item).exists()


def test_finishing_at_once_from_many_sides_finishes_once(board: Board, client: Client) -> None:
    item = client.uploaded(submission())
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.finish(item), range(6)))
    assert {each.status_code for each in answers} == {202}
    assert [each.position for each in board.inbox.items()] == [1]


def test_what_is_missing_is_named_by_finish(client: Client) -> None:
    files = submission()
    item = client.begin(files).json()["id"]
    client.put(item, files["submission.toml"])
    answer = client.finish(item)
    assert answer.status_code == 409
    assert answer.json()["missing"] == [sha(files[f"scores/{i}.npy"]) for i in IDS]


def test_maps_that_were_submitted_before_are_rejected_when_finished(board: Board) -> None:
    with opened(board) as ada:
        bob = replace(ada, token=tokens.make(board.inbox, "bob"))
        ada.finish(ada.uploaded(submission()))
        answer = bob.finish(bob.uploaded(submission()))
    assert (answer.status_code, answer.json()["state"]) == (202, REJECTED)
    assert answer.json()["reason"] == "the same maps were submitted by another before."


def test_a_withdrawn_submission_takes_nothing_more(client: Client) -> None:
    files = submission()
    item = client.uploaded({**files})
    states = [client.withdraw(item).json()["state"] for _ in range(2)]
    assert states == [WITHDRAWN, WITHDRAWN]
    assert client.finish(item).status_code == 409
    assert client.put(item, files["scores/a.npy"]).status_code == 409
    assert client.begin(files).json()["id"] != item


def test_a_file_that_comes_after_the_end_is_answered_as_there(client: Client) -> None:
    files = submission()
    item = client.uploaded(files)
    client.finish(item)
    assert client.put(item, files["scores/a.npy"]).status_code == 200
    assert client.put(item, b"other").status_code == 404


def test_an_upload_goes_on_after_the_server_was_killed(data: Path, tmp_path: Path) -> None:
    files = submission()
    with killed_in_the_end(tmp_path / "inbox", data) as client:
        begun = client.begin(files).json()
        client.put(begun["id"], files["scores/a.npy"])
        half = half_sent(client, begun["id"], files["scores/b.npy"])
        wait_for(lambda: any((tmp_path / "inbox/payloads").glob("*.parts/*")))
    half.close()
    with killed_in_the_end(tmp_path / "inbox", data) as client:
        again = client.begin(files)
        assert (again.status_code, again.json()["id"]) == (200, begun["id"])
        assert sha(files["scores/a.npy"]) not in again.json()["missing"]
        assert client.finish(client.uploaded(files)).status_code == 202
    assert manifest(tmp_path / "inbox/payloads" / begun["id"]) == {
        name: sha(content) for name, content in files.items()
    }
    assert not (tmp_path / f"inbox/payloads/{begun['id']}.parts").exists()


@contextmanager
def killed_in_the_end(inbox: Path, data: Path) -> Iterator[Client]:
    """An account at `harness serve`, which gets a SIGKILL when the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "harness", "serve", "--inbox", str(inbox), "--port", str(port)]
    words += ["--data-root", str(data), "--dataset", "custom"]
    client = Client(f"http://127.0.0.1:{port}", tokens.make(Inbox(inbox), "ada"))

    def answers() -> bool:
        try:
            return client.ask("GET", "/health").status_code == 200
        except requests.ConnectionError:
            return False

    process = subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        wait_for(answers)
        yield client
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait_for(come: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_lost_result_is_judged_again_by_command(board: Board, data: Path, tmp_path: Path) -> None:
    item, runs = put(board.inbox), tmp_path / "runs"
    words = ["judge", "--inbox", str(board.inbox.folder), "--once", "--out", str(runs)]
    words += ["--data-root", str(data)]
    first = CliRunner().invoke(main, words)
    shutil.rmtree(runs)
    again = CliRunner().invoke(main, [*words, "--again", item.id])
    assert (first.exit_code, again.exit_code) == (0, 0), again.stderr
    assert first.stdout == again.stdout
    assert (runs / board.inbox.item(item.id).run / "run.json").is_file()
    unknown = CliRunner().invoke(main, [*words, "--again", "0"])
    assert (unknown.exit_code, unknown.stderr) == (1, "harness: there is no such submission.\n")


# ---------------------------------------------------------------------- what is announced is judged


def test_wrong_names_are_told_at_once_and_begin_nothing(shared: Shared) -> None:
    client = shared.client()
    answer = client.begin({"../../x": b"x", "scores/\ud800.npy": b"x"})
    codes = sorted(each["code"] for each in answer.json()["problems"])
    assert answer.status_code == 422
    assert codes == ["card-missing", "extra", "extra", "missing", "missing", "missing"]
    assert client.ask("GET", "/submissions").json() == []


def test_a_data_set_that_is_not_taken_is_refused(shared: Shared) -> None:
    client = shared.client()
    answer = client.begin(submission(), dataset="road_anomaly")
    assert (answer.status_code, "takes: custom" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    "body", ["", "[", "[]", "null", "{}", '"x"', "NaN", "[" * 100_000, "1" * 5000, "\ufffe"]
)
def test_another_form_is_refused(shared: Shared, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = shared.client().ask("POST", "/submissions", data=body.encode(), headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_too_much_is_refused_before_it_is_read(board: Board) -> None:
    limits = replace(board.limits, announcement_bytes=100_000, announced_files=10, total_bytes=9999)
    headers = {"Content-Type": "application/json"}
    with opened(replace(board, limits=limits)) as client:
        sizes = [100_001, 99_999]
        many = [
            client.ask("POST", "/submissions", data=b"[" + b"0," * n + b"0]", headers=headers)
            for n in (size // 2 for size in sizes)
        ]
        assert [each.status_code for each in many] == [413, 413]
        assert client.begin(submission()).status_code == 413


# ---------------------------------------------------------------- files that are not as they should


def test_other_bytes_than_announced_are_deleted(board: Board, client: Client) -> None:
    files = submission()
    item = client.begin(files).json()["id"]
    path = f"/submissions/{item}/files/{sha(files['scores/a.npy'])}"
    other = files["scores/b.npy"]
    assert len(other) == len(files["scores/a.npy"])
    answer = client.ask("PUT", path, data=other, headers=OCTETS)
    assert (answer.status_code, sha(other) in answer.json()["error"]) == (422, True)
    assert on_disk(board) == []
    assert client.put(item, files["scores/a.npy"]).status_code == 201


def test_another_length_than_announced_is_refused(board: Board, client: Client) -> None:
    files = submission()
    item = client.begin(files).json()["id"]
    path = f"/submissions/{item}/files/{sha(files['scores/a.npy'])}"
    for other in (b"", files["scores/a.npy"][:-1], files["scores/a.npy"] + b"x"):
        headers = OCTETS | {"Content-Length": str(len(other))}
        assert client.ask("PUT", path, data=other, headers=headers).status_code == 422
    assert on_disk(board) == []


def test_what_is_put_says_its_length_and_kind(shared: Shared) -> None:
    client = shared.client()
    content = submission()["scores/a.npy"]
    item = client.begin(submission()).json()["id"]
    assert client.put(item, content, headers={}).status_code == 415
    path = f"/submissions/{item}/files/{sha(content)}"
    stream = client.ask("PUT", path, data=iter([content]), headers=OCTETS)
    assert stream.status_code == 411
    assert client.ask("POST", "/submissions", data=b"{}").status_code == 415


def test_a_file_that_nobody_announced_is_refused(shared: Shared) -> None:
    client = shared.client()
    item = client.begin(submission()).json()["id"]
    assert client.put(item, b"never announced").status_code == 404
    for name in ("..%2f..%2fx", "0" * 63, "0" * 65, "A" * 64, "%00", "scores"):
        path = f"/submissions/{item}/files/{name}"
        assert client.ask("PUT", path, data=b"x", headers=OCTETS).status_code == 404


def half_sent(client: Client, item: str, content: bytes) -> socket.socket:
    """A connection on which half of a file was sent."""
    address = client.address.removeprefix("http://")
    host, _, port = address.partition(":")
    made = socket.create_connection((host, int(port)))
    lines = [
        f"PUT /api/submissions/{item}/files/{sha(content)} HTTP/1.1",
        f"Host: {address}",
        f"Authorization: Bearer {client.token}",
        *("Content-Type: application/octet-stream", f"Content-Length: {len(content)}"),
    ]
    made.sendall("\r\n".join([*lines, "", ""]).encode() + content[: len(content) // 2])
    return made


def test_of_a_connection_that_ends_nothing_stays(board: Board, client: Client) -> None:
    content = submission()["scores/a.npy"]
    item = client.begin(submission()).json()["id"]
    half_sent(client, item, content).close()
    wait_for(lambda: not any(board.inbox.parts(item).iterdir()))
    assert on_disk(board) == []
    assert client.put(item, content).status_code == 201


def test_a_body_that_stalls_is_given_up(board: Board) -> None:
    with opened(replace(board, limits=replace(board.limits, stall_seconds=0.2))) as client:
        item = client.begin(submission()).json()["id"]
        with half_sent(client, item, submission()["scores/a.npy"]) as connection:
            connection.settimeout(10)
            answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body came too slowly" in answer
    assert on_disk(board) == []


def test_a_file_that_comes_after_a_withdrawal_is_not_kept(board: Board, client: Client) -> None:
    content = submission()["scores/a.npy"]
    item = client.begin(submission()).json()["id"]
    with half_sent(client, item, content) as connection:
        wait_for(lambda: any(board.inbox.parts(item).iterdir()))
        client.withdraw(item)
        board.inbox.delete_payload(item)
        connection.sendall(content[len(content) // 2 :])
        assert connection.recv(1000).startswith(b"HTTP/1.1 409 ")
    assert on_disk(board) == []
    assert not board.inbox.payload(item).exists()


def test_a_file_that_comes_while_another_request_finishes_is_there(
    board: Board, client: Client
) -> None:
    files = submission()
    item = client.begin(files).json()["id"]
    with half_sent(client, item, files["scores/a.npy"]) as connection:
        wait_for(lambda: any(board.inbox.parts(item).iterdir()))
        assert client.finish(client.uploaded(files)).status_code == 202
        connection.sendall(files["scores/a.npy"][len(files["scores/a.npy"]) // 2 :])
        assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert manifest(board.inbox.payload(item)) == {n: sha(c) for n, c in files.items()}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("scores/a.npy", npy(np.zeros(SHAPE[::-1], np.float32)), "transposed"),
        ("scores/a.npy", npy(np.zeros((48, 80), np.float32)), "resized"),
        ("scores/a.npy", npy(np.zeros(SHAPE, np.uint8)), "eight-bit"),
        ("scores/a.npy", npy(np.zeros(SHAPE, np.float64)), "unreadable"),
        ("scores/a.npy", npy(np.array([{}], object)), "unreadable"),
        ("scores/a.score", b"nothing", "unreadable"),
        ("scores/a.png", png(np.zeros(SHAPE, np.uint8)), "eight-bit"),
        ("classes/a.png", png(np.zeros((24, 41), np.uint8)), "classes"),
        ("classes/a.png", b"nothing", "classes"),
        ("submission.toml", b"method = 1", "card-field"),
        ("submission.toml", b"\xff", "card-syntax"),
    ],
)
def test_a_header_that_is_wrong_is_told_at_once(
    shared: Shared, name: str, content: bytes, code: str
) -> None:
    files = submission()
    if name.startswith("scores/a."):
        del files["scores/a.npy"]
    if name.startswith("classes"):
        files |= {f"classes/{i}.png": png(np.zeros(SHAPE, np.uint8)) for i in IDS}
    files[name] = content
    client = shared.client()
    answer = client.put(client.begin(files).json()["id"], content)
    assert answer.status_code == 201
    assert code in [each["code"] for each in answer.json()["problems"]]
    assert str(shared.board.inbox.folder) not in answer.text


# ---------------------------------------------------------------------------------- who may do what


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        *(("GET", "/submissions"), ("POST", "/submissions"), ("GET", "/submissions/x")),
        ("PUT", f"/submissions/x/files/{64 * '0'}"),
        *(("POST", "/submissions/x/finish"), ("POST", "/submissions/x/withdraw")),
    ],
)
def test_without_a_valid_token_nothing_is_told(shared: Shared, verb: str, path: str) -> None:
    late = Inbox(shared.board.inbox.folder, clock=lambda: time.time() - 3 * DAY)
    expired = tokens.make(late, "ada", days=1)
    for header in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer rah_x", f"Bearer {expired}"):
        answer = Client(shared.address).ask(verb, path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert list(answer.json()) == ["error"]


def test_another_accounts_submission_is_as_one_that_is_not(board: Board, client: Client) -> None:
    files = submission()
    bob = replace(client, token=tokens.make(board.inbox, "bob"))
    item = client.begin(files).json()["id"]

    def seen(item: str) -> list[tuple[int, str]]:
        answers = (
            bob.ask("GET", f"/submissions/{item}"),
            bob.put(item, files["scores/a.npy"]),
            *(bob.finish(item), bob.withdraw(item)),
        )
        return [(each.status_code, each.text) for each in answers]

    assert seen(item) == seen("0" * 16)
    assert {code for code, _ in seen(item)} == {404}
    assert bob.ask("GET", "/submissions").json() == []


def test_a_revoked_token_opens_nothing(board: Board, client: Client) -> None:
    assert client.ask("GET", "/submissions").status_code == 200
    tokens.revoke(board.inbox, "ada")
    assert client.ask("GET", "/submissions").status_code == 401


# ------------------------------------------------------------------------------------------- limits


def test_wrong_tokens_are_limited_and_right_ones_are_not(board: Board) -> None:
    with opened(replace(board, limits=replace(board.limits, wrong_tokens="3/minute"))) as client:
        forged = replace(client, token="rah_forged")
        answers = [forged.ask("GET", "/submissions") for _ in range(5)]
        assert [each.status_code for each in answers] == [401, 401, 401, 429, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert client.ask("GET", "/submissions").status_code == 200


@pytest.mark.parametrize(
    ("rate", "verb", "path"),
    [
        ("requests", "GET", "/submissions"),
        ("begun", "POST", "/submissions"),
        ("without_token", "GET", "/datasets"),
        ("without_token", "GET", "/openapi.json"),
    ],
)
def test_what_comes_too_often_is_refused_for_a_while(
    board: Board, rate: str, verb: str, path: str
) -> None:
    limits = replace(board.limits, **{rate: "2/minute"})  # type: ignore[arg-type]
    with opened(replace(board, limits=limits)) as client:
        bob = replace(client, token=tokens.make(board.inbox, "bob"))
        codes = [client.ask(verb, path).status_code for _ in range(3)]
        assert (429 in codes[:2], codes[2]) == (False, 429)
        assert (bob.ask(verb, path).status_code == 429) == (rate == "without_token")
        assert client.ask("GET", "/health").status_code == 200


def test_an_account_sends_only_so_many_files_at_once(board: Board) -> None:
    limits = replace(board.limits, uploads_of_account=1)
    files = submission()
    with opened(replace(board, limits=limits)) as client:
        item = client.begin(files).json()["id"]
        with half_sent(client, item, files["scores/a.npy"]):
            wait_for(lambda: any(board.inbox.parts(item).iterdir()))
            answer = client.put(item, files["scores/b.npy"])
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        wait_for(lambda: client.put(item, files["scores/b.npy"]).status_code == 201)


def test_all_accounts_together_send_only_so_many_files_at_once(board: Board) -> None:
    limits = replace(board.limits, uploads=1, wait_seconds=0.1)
    files = submission()
    with opened(replace(board, limits=limits)) as client:
        bob = replace(client, token=tokens.make(board.inbox, "bob"))
        item, other = (each.begin(files).json()["id"] for each in (client, bob))
        with half_sent(client, item, files["scores/a.npy"]):
            wait_for(lambda: any(board.inbox.parts(item).iterdir()))
            answer = bob.put(other, files["scores/a.npy"])
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        wait_for(lambda: bob.put(other, files["scores/a.npy"]).status_code == 201)


def test_a_quota_that_is_used_up_is_told_with_its_end(board: Board) -> None:
    inbox = Inbox(board.inbox.folder, quotas=Quotas(per_day=1, total=9))
    with opened(replace(board, inbox=inbox)) as client:
        client.begin(submission(1))
        assert client.begin(submission(1)).status_code == 200
        answer = client.begin(submission(2))
    assert (answer.status_code, "midnight, UTC" in answer.json()["error"]) == (429, True)
    assert 0 < int(answer.headers["Retry-After"]) <= DAY


def test_a_disk_that_is_nearly_full_takes_nothing(board: Board) -> None:
    with opened(board) as client:
        item = client.begin(submission()).json()["id"]
    with opened(replace(board, limits=replace(board.limits, spare_bytes=2**60))) as client:
        assert client.begin(submission(1)).status_code == 507
        assert client.put(item, submission()["scores/a.npy"]).status_code == 507
        assert client.ask("GET", "/submissions").status_code == 200


# ----------------------------------------------------------------------------- troubles of the host


def test_a_disk_that_gets_full_is_told_and_nothing_stays(
    board: Board, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = submission()["scores/a.npy"]
    item = client.begin(submission()).json()["id"]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Incoming, "write", full)
        answer = client.put(item, content)
    assert (answer.status_code, "full" in answer.json()["error"]) == (507, True)
    assert on_disk(board) == []
    assert client.put(item, content).status_code == 201


def test_a_queue_that_is_busy_for_long_is_told(
    board: Board, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "PATIENCE", 0.05)
    with board.inbox.transaction():
        answer = client.begin(submission())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert client.begin(submission()).status_code == 201


def test_data_that_cannot_be_read_is_the_hosts_trouble(board: Board, tmp_path: Path) -> None:
    with opened(replace(board, frames=hidden_frames(tmp_path / "nowhere"))) as client:
        answer = client.begin(submission())
        assert (answer.status_code, str(tmp_path) in answer.text) == (503, False)


def test_what_nobody_foresaw_tells_nothing_of_the_host(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(desk.Desk, "items", fail)
    answer = client.ask("GET", "/submissions")
    assert (answer.status_code, list(answer.json()), "secret" in answer.text) == (
        *(500, ["error"]),
        False,
    )


def test_what_was_on_its_way_is_swept_when_the_upload_ends(board: Board, client: Client) -> None:
    item = client.begin(submission()).json()["id"]
    left = board.inbox.parts(item) / "left by a crash"
    left.write_bytes(b"x")
    sweep(board.inbox)
    assert left.exists()
    client.withdraw(item)
    sweep(board.inbox)
    assert not left.parent.exists()


# -------------------------------------------------------------------------------------- the surface


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        *(("GET", "/nothing", 404), ("GET", "/submissions/", 404), ("GET", "/../x", 404)),
        *(("GET", "/%2e%2e/%2e%2e/etc/passwd", 404), ("GET", "/submissions/%00", 404)),
        *(("DELETE", "/submissions", 405), ("OPTIONS", "/submissions", 405)),
        *(("TRACE", "/health", 405), ("POST", "/health", 405), ("BREW", "/health", 405)),
        ("GET", "/submissions/x/finish", 405),
    ],
)
def test_whatever_is_asked_the_answer_is_json(
    shared: Shared, verb: str, path: str, status: int
) -> None:
    answer = shared.client().ask(verb, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


def test_every_answer_says_how_it_is_to_be_taken(shared: Shared) -> None:
    client = shared.client()
    for path in ("/health", "/submissions", "/nothing", "/openapi.json"):
        headers = client.ask("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Content-Type"] == "application/json"


def test_head_answers_without_a_body(shared: Shared) -> None:
    client = shared.client()
    answer = client.ask("HEAD", "/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.ask("HEAD", "/nothing").status_code == 404


def test_outside_of_the_prefix_there_is_nothing(shared: Shared) -> None:
    for path in ("", "/", "/api", "/docs"):
        answer = requests.get(f"{shared.address}{path}", timeout=20)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_the_description_names_every_route_and_no_other(shared: Shared) -> None:
    (mount,) = server.routes(shared.board)
    assert isinstance(mount, Mount)
    served = {(r.path, m) for r in mount.routes for m in r.methods if m != "HEAD"}  # type: ignore[attr-defined]
    paths = Client(shared.address).ask("GET", "/openapi.json").json()["paths"]
    verbs = {"get", "put", "post"}
    assert {(p, m.upper()) for p, of in paths.items() for m in of if m in verbs} == served


def test_the_description_refers_only_to_what_it_holds() -> None:
    description = openapi.description()
    text = json.dumps(description)
    for kind, names in description["components"].items():
        for name in names:
            assert kind == "securitySchemes" or f"#/components/{kind}/{name}" in text
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        found: Any = description
        for key in reference.split("/"):
            found = found[key]


def test_the_data_sets_are_told_without_a_token(shared: Shared) -> None:
    answer = Client(shared.address).ask("GET", "/datasets").json()
    title = answer[0].pop("title")
    assert answer == [{"name": "custom", "frames": 3, "hidden_labels": True}]
    assert title


def test_behind_a_prefix_all_is_as_without(board: Board) -> None:
    app = Starlette(routes=[Mount("/boards/road", server.app(board))])
    config = uvicorn.Config(app, port=0, ws="none", lifespan="off", log_level="error")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    wait_for(lambda: running.started)
    port = running.servers[0].sockets[0].getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}/boards/road", tokens.make(board.inbox, "ada"))
    try:
        assert client.finish(client.uploaded(submission())).status_code == 202
        assert client.ask("GET", "/nothing").status_code == 404
    finally:
        running.should_exit = True
        thread.join()


def test_each_request_is_one_line_of_the_record_without_its_token(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "submissions.access")
    files = submission()
    item = client.begin(files).json()["id"]
    client.put(item, files["scores/a.npy"])
    client.ask("GET", "/x%1b[31m?token=rah_in_the_address")
    wait_for(lambda: len(caplog.messages) == 3)
    lines = [json.loads(each) for each in caplog.messages]
    assert [(each["method"], each["status"]) for each in lines] == [
        *(("POST", 201), ("PUT", 201), ("GET", 404))
    ]
    assert (lines[1]["account"], lines[1]["received"]) == ("ada", len(files["scores/a.npy"]))
    assert "rah_" not in caplog.text
    assert "\x1b" not in caplog.messages[2]
