from __future__ import annotations

from tasks.config.unknown_variables import find_unknown_variables


def found(*names: str) -> list[tuple[str, str | None]]:
    return list(find_unknown_variables(names))


def test_a_misspelt_setting_is_found_with_the_nearest_known_one() -> None:
    assert found("PENSTOCK_LEASE_MSS") == [("PENSTOCK_LEASE_MSS", "PENSTOCK_LEASE_MS")]


def test_an_unknown_name_like_no_setting_is_found_without_a_suggestion() -> None:
    assert found("PENSTOCK_QQ") == [("PENSTOCK_QQ", None)]


def test_settings_and_the_variables_of_others_are_not_unknown() -> None:
    kubernetes = ("PENSTOCK_SERVICE_HOST", "PENSTOCK_PORT_8000_TCP_ADDR")
    assert found("PENSTOCK_LEASE_MS", "REDIS_PORTS", "PENSTOCK_VAR", *kubernetes) == []
