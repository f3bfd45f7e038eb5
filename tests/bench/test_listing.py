from __future__ import annotations

import pytest

from bench.listing import main


def test_a_small_run_lists_every_job_once_and_says_what_a_page_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--jobs=1000"]) == 0
    said = capsys.readouterr().out
    assert "no filter: 1,000 jobs on 10 pages of 100" in said
    assert "status=succeeded: 900 jobs on 9 pages of 100" in said
    assert said.count("us of these in Redis: median of the first") == 2
    assert "a page that passes over 1,000 jobs: " in said
    assert "'redis-server': '" in said
