"""What the mappings of connections say about records that are gone, for whoever explains it."""

from __future__ import annotations

from syncd.mapping.active import RETIRED, rule_for
from syncd.mapping.rules import GoneRule, GoneSection
from syncd.sync.engine import Engine


def gone_rules(engine: Engine, connection: str) -> dict[str, GoneRule]:
    """The rule for each reason (absent, deleted, …); where the connection is not configured any
    more, or not rightly, only what then is meant by retired.
    """
    speaker = engine.speaker(connection)
    if speaker is None:
        return {RETIRED: rule_for(None, RETIRED)}
    reasons = (*GoneSection.model_fields, RETIRED)
    return {reason: rule_for(speaker.rules, reason) for reason in reasons}
