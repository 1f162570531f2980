"""What Prometheus reads."""

import re

from tests.dialects.voices import Voice
from tests.service import Service


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
