"""What Prometheus reads, and the page for those who run it."""

import re
from pathlib import Path

import pytest

from legible.db.book import SqliteBook
from legible.metrics import Metrics
from legible.model_store import model_files
from legible.recognizers import available, models_of
from tests.dialects.voices import Voice
from tests.service import Service, Start

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"


def sample(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_calls_and_time_stages(service: Service, voice: Voice, picture: str) -> None:
    def count(outcome: str, kind: str) -> float:
        name = f'legible_calls_total{{dialect="{voice.name}",kind="{kind}",outcome="{outcome}"}}'
        return sample(service.client.get("/metrics").text, name)

    before = count("answered", "text"), count("invalid_image", "unknown"), count("unauthenticated", "unknown")
    voice.ask(service.client, service.key, voice.body(picture))
    voice.ask(service.client, service.key, voice.body("%"))
    voice.ask(service.client, None, voice.body(picture))
    after = count("answered", "text"), count("invalid_image", "unknown"), count("unauthenticated", "unknown")
    assert after == tuple(each + 1 for each in before)
    text = service.client.get("/metrics").text
    for stage in ("read", "call", "recognize", "commit"):
        assert sample(text, f'legible_stage_seconds_count{{stage="{stage}"}}') > 0
    assert sample(text, "legible_commit_group_size_count") > 0
    assert sample(text, "legible_commit_group_size_sum") >= sample(text, "legible_commit_group_size_count")


def test_a_recognition_under_way_is_in_the_depth_of_its_queue(service: Service, picture: str) -> None:
    depths: list[float] = []
    name = 'legible_queue_depth{queue="recognition"}'
    metrics = service.parts.metrics
    service.reads.before = lambda: depths.append(sample(metrics.text().decode(), name))
    service.client.post(
        "/captcha/recognition/image2text",
        json={"image": picture},
        headers={"authorization": f"Bearer {service.key}"},
    )
    assert depths == [1.0]
    assert sample(metrics.text().decode(), name) == 0
    assert 'legible_queue_depth{queue="commit"} 0.0' in metrics.text().decode()


def test_a_balance_that_does_not_cover_a_call_is_counted(
    service: Service, voice: Voice, picture: str
) -> None:
    def count(reason: str) -> float:
        return sample(
            service.client.get("/metrics").text, f'legible_balance_failures_total{{reason="{reason}"}}'
        )

    before = count("balance"), count("spend_cap")
    capped = service.new_key(spend_cap_micros=0)
    voice.ask(service.client, capped, voice.body(picture))
    service.set_balance(0)
    voice.ask(service.client, service.key, voice.body(picture))
    assert (count("balance"), count("spend_cap")) == (before[0] + 1, before[1] + 1)


def test_books_that_disagree_are_counted_and_nothing_is_charged(
    start: Start, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    before = service.balance()
    update = SqliteBook._update

    def nobody(book: SqliteBook, statement: str, rows: list[tuple[int, ...]]) -> None:
        update(book, statement, [(*row[:-1], -1) for row in rows])

    monkeypatch.setattr(SqliteBook, "_update", nobody)
    body = {"image": picture}
    headers = {"authorization": f"Bearer {service.key}"}
    assert (
        service.client.post("/captcha/recognition/image2text", json=body, headers=headers).status_code == 500
    )
    monkeypatch.undo()
    text = service.client.get("/metrics").text
    assert sample(text, 'legible_balance_failures_total{reason="guard"}') > 0
    assert service.balance() == before


def test_metrics_say_which_weights_are_run() -> None:
    metrics = Metrics()
    used = [model_files()[name] for name in models_of(available())]
    metrics.run_models(used)
    text = metrics.text().decode()
    assert len(used) > 3
    for model in used:
        name = f'legible_model_info{{model="{model.name}",version="{model.sha256[:12]}"}}'
        assert sample(text, name) == 1


def test_the_page_for_operators_names_every_metric(service: Service) -> None:
    told = service.client.get("/metrics").text
    families = set(re.findall(r"^# TYPE (legible_\w+) ", told, re.MULTILINE))
    families = {name for name in families if not name.endswith("_created")}
    written = set(re.findall(r"^\| `(legible_\w+)`", PAGE.read_text("utf-8"), re.MULTILINE))
    assert written == families
