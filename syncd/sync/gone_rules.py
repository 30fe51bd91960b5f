"""What the mappings of connections say about records that are gone, for whoever explains it."""

from __future__ import annotations

from syncd.mapping.rules import GoneRule, GoneSection
from syncd.sync.engine import Engine


def gone_rules(engine: Engine, connection: str) -> dict[str, GoneRule]:
    """The rule for each reason (absent, deleted, …); none where the connection is not configured
    any more, or not rightly.
    """
    speaker = engine.speaker(connection)
    if speaker is None:
        return {}
    gone = speaker.rules.mapping.gone
    return {reason: getattr(gone, reason) for reason in GoneSection.model_fields}
