"""The server's answers are the model's own, however images are sent and whoever else asks."""

import base64
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

import hierclf
from hierclf.rules.answers import COLUMNS, NUMBERS
from tests.image_bytes import encode
from tests.serving.served import ask, multipart, post, post_json, running
from tests.tiny_models import HIERARCHY, picture, pictures, tiny_bundle

IMAGES = pictures(40)
CLASSES = ("superclass_index", "subclass_index", "superclass", "subclass")
HOSTILE = (
    "<script>alert(1)</script>.png",
    "../../etc/passwd",
    "/etc/passwd",
    "a\x1b[31m\u202egnp.exe",
    "\ud800",
    "'; DROP TABLE images; --",
    "名前.png",
    "x" * 5000,
)


@pytest.fixture(scope="module")
def expected(model: Path) -> pd.DataFrame:
    return hierclf.load(model, device="cpu").predict([data for _, data in IMAGES])


@pytest.fixture(scope="module", params=["model", "exported"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def port(request: pytest.FixtureRequest, kind: str) -> Iterator[int]:
    with running(request.getfixturevalue(kind)) as port:
        yield port


def check(rows: list[dict[str, Any]], expected: pd.DataFrame, kind: str) -> None:
    """Rows of the server against `Model.predict`."""
    for name in CLASSES:
        assert [row[name] for row in rows] == expected[name].tolist()
    for name in NUMBERS:
        found = np.array([row[name] for row in rows])
        # Of an exported model, a pixel may differ by one level, and this model's weights are large.
        rtol, atol = (1e-2, 1e-3) if kind == "exported" else (1e-3, 1e-5)
        np.testing.assert_allclose(found, expected[name].to_numpy(), rtol=rtol, atol=atol)
    assert [row["super_novel"] for row in rows] == (expected["superclass"] == "novel").tolist()
    assert [row["sub_novel"] for row in rows] == (expected["subclass"] == "novel").tolist()
    assert {row["error"] for row in rows} == {None}


def test_files_base64_and_a_body_get_the_models_own_answers(
    port: int, kind: str, expected: pd.DataFrame
) -> None:
    assert {"novel"} < set(expected["subclass"])
    files = post(port, *multipart([(name.encode(), data) for name, data in IMAGES]))
    assert files.status == 200
    rows = files.json["predictions"]
    assert [row["image"] for row in rows] == [name for name, _ in IMAGES]
    assert all(tuple(row) == (*COLUMNS, "super_novel", "sub_novel", "error") for row in rows)
    check(rows, expected, kind)

    texts = [base64.b64encode(data).decode() for _, data in IMAGES]
    named = [{"name": name, "data": text} for (name, _), text in zip(IMAGES, texts, strict=True)]
    for items, names in ((texts, [str(i) for i in range(40)]), (named, [n for n, _ in IMAGES])):
        rows = post_json(port, {"images": items}).json["predictions"]
        assert [row["image"] for row in rows] == names
        check(rows, expected, kind)

    for content in ("image/png", "application/octet-stream", "application/x-www-form-urlencoded"):
        rows = post(port, IMAGES[3][1], content).json["predictions"]
        check(rows, expected[3:4], kind)


def test_many_clients_at_a_time_get_each_the_answer_to_its_own_image(
    port: int, kind: str, expected: pd.DataFrame
) -> None:
    with ThreadPoolExecutor(16) as clients:
        replies = list(clients.map(lambda item: post(port, item[1]), IMAGES))
    check([row for reply in replies for row in reply.json["predictions"]], expected, kind)
    batches = figures(port)["hierclf_batch_images"]
    passes, images = batches["hierclf_batch_images_count"], batches["hierclf_batch_images_sum"]
    assert passes < images, "nobody passed the network together"


def test_an_unreadable_image_among_others_has_its_reason_and_costs_them_nothing(
    port: int, kind: str, expected: pd.DataFrame
) -> None:
    reply = post(port, *multipart([(b"a", IMAGES[0][1]), (b"b", b"none"), (b"c", IMAGES[2][1])]))
    assert reply.status == 200
    first, bad, last = reply.json["predictions"]
    check([first, last], expected.iloc[[0, 2]], kind)
    assert bad.pop("image") == "b"
    assert bad.pop("error").startswith("not a readable JPEG, ")
    assert set(bad.values()) == {None}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_come_back_as_json_and_as_nothing_else(port: int, name: str) -> None:
    item = {"name": name, "data": base64.b64encode(IMAGES[0][1]).decode()}
    reply = post_json(port, {"images": [item]})
    assert reply.json["predictions"][0]["image"] == name
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.body.isascii()
    broken = post_json(port, {"images": [item | {"data": "????"}]})
    assert broken.status == 422
    assert broken.error


def test_names_of_files_may_hold_any_bytes(port: int) -> None:
    for name, back in ((b"\xff\xfe.png", "ÿþ.png"), (b"<i>\x01", "<i>\x01"), (b"", "0")):
        reply = post(port, *multipart([(name, IMAGES[0][1])]))
        assert [row["image"] for row in reply.json["predictions"]] == [back]


def test_explanations_are_the_models_own_and_given_to_those_who_ask(model: Path) -> None:
    own = hierclf.load(model, device="cpu").explain([data for _, data in IMAGES])
    with running(model) as port, ThreadPoolExecutor(16) as clients:

        def asked(item: tuple[int, bytes]) -> Any:
            number, data = item
            path = "/predict?explain=true" if number % 2 else "/predict"
            return ask(port, "POST", path, data).json["predictions"][0]

        rows = list(clients.map(asked, enumerate(data for _, data in IMAGES)))
        torn = ask(port, "POST", "/predict?explain=true", b"none").json["predictions"][0]
        wrong = ask(port, "POST", "/predict?explain=maybe", IMAGES[0][1])
    assert torn["error"] is not None
    assert (wrong.status, wrong.error) == (400, "explain must be true or false, but got 'maybe'")
    for number, (row, whole) in enumerate(zip(rows, own, strict=True)):
        assert ("explanation" in row) == bool(number % 2)
        if number % 2:
            assert row["explanation"].keys() == whole.keys() - {"image", "error"}
            near: Any = row["explanation"]["neighbours"]
            own_near: Any = whole["neighbours"]
            # The server's batches are others: the last bits of a sum depend on the batch's size.
            assert [n | {"distance": 0} for n in near] == [n | {"distance": 0} for n in own_near]
            distances = [n["distance"] for n in own_near]
            assert [n["distance"] for n in near] == pytest.approx(distances, rel=1e-4)
        for level in ("super", "sub"):
            if number % 2:
                found: Any = row["explanation"][level]
                expected: Any = dict(whole)[level]
                assert found["decision"] == row[f"{level}class"] == expected["decision"]
                assert found["remarks"] == expected["remarks"]
                assert [t["name"] for t in found["terms"]] == [t["name"] for t in expected["terms"]]
                assert found["margin"] == pytest.approx(expected["margin"], rel=1e-3, abs=1e-5)


def test_an_exported_model_says_that_it_gives_no_explanations(exported: Path) -> None:
    with running(exported) as port:
        reply = ask(port, "POST", "/predict?explain=true", IMAGES[0][1])
        assert (reply.status, "serve the model directory" in reply.error) == (400, True)
        assert ask(port, "GET", "/model").json["explains"] is False
        assert ask(port, "POST", "/predict?explain=false", IMAGES[0][1]).status == 200


def test_addresses_and_paths_are_neither_fetched_nor_opened(port: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(picture(0)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/a.png"
        for text in (address, str(path), path.as_uri()):
            reply = post_json(port, {"images": [text]})
            assert reply.status == 422
            assert "must be base64 text" in reply.error
            assert "not a readable JPEG" in post(port, text.encode(), "text/plain").error
        with pytest.raises(TimeoutError):
            listening.accept()


def test_the_model_describes_itself(port: int, kind: str) -> None:
    said = ask(port, "GET", "/model").json
    found = {
        (item["superclass"], item["superclass_index"], sub["subclass"], sub["subclass_index"])
        for item in said["classes"]
        for sub in item["subclasses"]
    }
    supers = [(HIERARCHY.super_names[i], HIERARCHY.super_ids[i]) for i in HIERARCHY.sub_to_super]
    subs = zip(HIERARCHY.sub_names, HIERARCHY.sub_ids, strict=True)
    assert found == {(*sup, *sub) for sup, sub in zip(supers, subs, strict=True)}
    assert (said["novel"]["superclass_index"], said["novel"]["subclass_index"]) == (1, 2)
    rule = tiny_bundle().rule
    assert rule is not None
    assert said["thresholds"] == rule.to_dict()
    assert said["promised"] is None
    assert ("torch" in said["versions"]) == (kind == "model")
    assert {"python", "hierclf", "torch"} <= set(said["written_with"])
    assert said["limits"]["max_images"] == 64


def test_the_promise_of_a_run_is_told_while_its_thresholds_are_in_place(
    model: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run" / "model"
    copy.mkdir(parents=True)
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    rule = tiny_bundle().rule
    assert rule is not None
    promise = {"super_seen": {"expected": 0.9, "low": 0.8, "high": 1.0}}
    for own, told in ((rule.to_dict(), promise), (rule.to_dict() | {"sub_tau": 9.0}, None)):
        summary = {"rule": own, "held_out": {"chosen": promise}}
        (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
        with running(copy) as port:
            assert ask(port, "GET", "/model").json["promised"] == told


def test_health_readiness_and_a_page_that_says_what_to_type(port: int) -> None:
    assert ask(port, "GET", "/health").json == {"status": "ok"}
    assert ask(port, "GET", "/ready").json == {"status": "ready"}
    page = ask(port, "GET", "/")
    assert page.headers["content-type"].startswith("text/plain")
    assert f"curl -F image=@photo.jpg http://127.0.0.1:{port}/predict" in page.body.decode()


def figures(port: int) -> dict[str, dict[str, float]]:
    """Metrics by family, those without labels and each of those with."""
    text = ask(port, "GET", "/metrics").body.decode()
    return {
        family.name: {
            s.name + "".join(f",{value}" for value in s.labels.values()): s.value
            for s in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


def test_metrics_count_requests_and_images(model: Path) -> None:
    with running(model) as port:
        for _ in range(3):
            post(port, IMAGES[0][1])
        post(port, b"none")
        ask(port, "GET", "/nowhere")
        found = figures(port)
    requests = found["hierclf_requests"]
    assert requests["hierclf_requests_total,/predict,200"] == 3
    assert requests["hierclf_requests_total,/predict,422"] == 1
    assert requests["hierclf_requests_total,other,404"] == 1
    images = found["hierclf_images"]
    assert images["hierclf_images_total,unreadable"] == 1
    assert sum(v for name, v in images.items() if name.startswith("hierclf_images_total")) == 4
    assert found["hierclf_predict_seconds"]["hierclf_predict_seconds_count"] == 4
    assert found["hierclf_requests_in_work"]["hierclf_requests_in_work"] == 0
