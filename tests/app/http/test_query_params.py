from __future__ import annotations

from flask import Flask

from app.http.query_params import parameters_of


def test_what_a_view_takes_is_known_behind_its_decorators(app: Flask) -> None:
    assert parameters_of(app.view_functions["jobs.show"]) == ("wait",)
    assert parameters_of(app.view_functions["ops.live"]) == ()
