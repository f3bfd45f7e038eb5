from __future__ import annotations

import structlog

from tasks.config.unknown_variables import warn_of_misspelt


def warnings(*names: str) -> list[tuple[str, str | None]]:
    with structlog.testing.capture_logs() as lines:
        warn_of_misspelt(names)
    return [(line["variable"], line["nearest"]) for line in lines]


def test_a_misspelt_setting_is_told_with_the_one_that_may_be_meant() -> None:
    assert warnings("PENSTOCK_LEASE_MSS") == [("PENSTOCK_LEASE_MSS", "PENSTOCK_LEASE_MS")]


def test_a_name_like_none_is_told_all_the_same() -> None:
    assert warnings("PENSTOCK_QQ") == [("PENSTOCK_QQ", None)]


def test_settings_and_the_variables_of_others_are_no_mistakes() -> None:
    kubernetes = ("PENSTOCK_SERVICE_HOST", "PENSTOCK_PORT_8000_TCP_ADDR")
    assert warnings("PENSTOCK_LEASE_MS", "REDIS_PORTS", "PENSTOCK_VAR", *kubernetes) == []
