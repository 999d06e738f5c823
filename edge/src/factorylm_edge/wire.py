"""A batch as plain JSON, the way it travels on MQTT and NATS; a few names, so that anybody can read it."""

import json
from collections.abc import Sequence

from factorylm_schema import BadRequestError

from factorylm_edge.outbox import Batch
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import Namespace

# {"id": "5f…:17", "historical": true, "samples": [{"tag", "path", "time": ms, "value", "quality": 0}, …]}


def message(batch: Batch, namespace: Namespace) -> bytes:
    """One batch; times in milliseconds since 1970, quality the OPC UA status code's number (left out where good)."""
    samples = [
        {
            "tag": sample.tag,
            "path": namespace.path(sample.tag),
            "time": sample.time_us / 1000 if sample.time_us % 1000 else sample.time_us // 1000,
            "value": sample.value,
            **({"quality": sample.quality} if sample.quality else {}),
        }
        for sample in batch.samples
    ]
    whole = {"id": batch.id, "historical": batch.historical, "samples": samples}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def batch_of(data: bytes) -> Batch:
    """What `message` was given; raises BadRequestError for anything else."""
    try:
        whole = json.loads(data)
        gateway, _, number = whole["id"].rpartition(":")
        samples = [
            Sample(str(row["tag"]), round(row["time"] * (SECOND // 1000)), row["value"], int(row.get("quality", 0)))
            for row in whole["samples"]
        ]
        return Batch(gateway=gateway, number=int(number), samples=samples, historical=bool(whole["historical"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequestError(f"not a batch of a gateway: {error}", hint="wire.py shows what one looks like") from error


def by_path(samples: Sequence[Sample], namespace: Namespace) -> dict[str, list[Sample]]:
    """Samples by the topic of their device: the tag's path without its last part."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(namespace.path(sample.tag).rpartition("/")[0], []).append(sample)
    return found
