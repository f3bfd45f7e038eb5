"""The console as a person sees it, in a headless Chromium, with real workers behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tasks.store import keys
from tests.browser.consoles import PASSWORD, USER, options, row_of, watched
from tests.browser.contrast import CONTRASTS
from tests.browser.pictures import picture
from tests.browser.traffic import OWNERS, mixed_traffic
from tests.eventually import eventually
from tests.ports import free_port
from tests.stack import Stack

HOSTILE = "<script>window.hit=1</script><img src=x onerror=window.hit=1>"
PHONE: Any = {"width": 360, "height": 740}
PICTURES = bool(os.environ.get("PENSTOCK_SCREENSHOTS"))
MODERATION = "ml.moderation.pipeline:pipeline" if PICTURES else "tests.pipelines:moderation"
VIEWS: dict[str, Any] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 1340}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 1340}},
    "phone": {"color_scheme": "light", "viewport": PHONE | {"height": 1500}},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("stack"),
        *(MODERATION, "tests.pipelines:echo"),
        flower_user=USER,
        flower_password=PASSWORD,
        flower_port=free_port(),
        gpu_price=2.5,
        cpu_price=0.05,
        gpu_patience_ms=1_000,
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def context(stack: Stack, browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(**options(stack)) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """The console, open and live; nothing in it may have failed by the end of the test."""
    with watched(context) as page:
        yield page


def submitted(stack: Stack, **body: Any) -> dict[str, Any]:
    """A job that has ended."""
    with stack.client() as client:
        body = {"pipeline": "moderation"} | body
        answer = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=30"})
    job: dict[str, Any] = answer.json()
    assert job["status"] == "succeeded", job
    return job


def test_without_the_password_there_is_nothing_to_see(stack: Stack, browser: Browser) -> None:
    with browser.new_context(base_url=stack.url) as stranger:
        for path in ("/console", "/console/data", "/console/metrics"):
            answer = stranger.request.get(path)
            assert (answer.status, "Basic" in answer.headers["www-authenticate"]) == (401, True)


def test_a_job_that_the_api_took_appears_by_itself_with_its_answer(
    stack: Stack, page: Page
) -> None:
    job = submitted(stack, input={"text": "a text that appears"})
    row = row_of(page, job["id"])
    expect(row).to_contain_text("succeeded")
    expect(row).to_contain_text(job["output"]["action"])
    expect(row).to_contain_text(job["output"]["tier"])
    assert "a text that appears" not in page.content()


def test_a_job_is_found_by_its_id_and_shown_in_full(stack: Stack, page: Page) -> None:
    job = submitted(stack, input={"text": "a text to find"}, metadata={"ticket": "A-17"})
    page.get_by_role("searchbox").fill(job["id"])
    page.get_by_role("searchbox").press("Enter")
    detail = page.get_by_role("article", name=f"Job {job['id']}")
    expect(detail).to_contain_text("default")
    expect(detail.locator(".verdict")).to_have_text(job["output"]["action"])
    detail.get_by_text("Metadata").click()
    expect(detail.locator("pre")).to_contain_text("A-17")
    detail.get_by_role("button", name="Close").click()
    expect(detail).to_have_count(0)


def test_a_job_that_is_not_there_is_said_to_be_missing(
    context: BrowserContext, stack: Stack
) -> None:
    page = context.new_page()
    page.goto("/console")
    page.get_by_role("searchbox").fill("job_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#detail")).to_contain_text("There is no such job")


def test_a_text_is_submitted_and_its_answer_shown_with_tier_and_confidence(page: Page) -> None:
    page.get_by_role("textbox", name="Text").fill("Have a great day, everyone!")
    page.get_by_role("button", name="Submit").click()
    answer = page.locator("#answer")
    expect(answer.locator(".verdict")).to_have_text("allow")
    expect(answer).to_contain_text("tier ")
    expect(answer).to_contain_text("% sure")
    expect(answer.locator(".metered")).to_have_count(3)
    answer.locator("a[data-job]").click()
    expect(page.get_by_role("article", name="Job job_")).to_contain_text("succeeded")


def test_lanes_latency_confidence_and_cost_fill_with_what_was_done(
    stack: Stack, page: Page
) -> None:
    submitted(stack, inputs=[{"text": f"text {n} of many"} for n in range(20)])
    expect(page.locator("#lanes")).to_contain_text("1 worker")
    expect(page.locator("#latency tbody")).to_contain_text("moderation")
    expect(page.locator("#confidence")).to_contain_text("moderation · ")
    expect(page.locator("#confidence svg")).not_to_have_count(0)
    expect(page.locator("#cost")).to_contain_text("per 1,000 items")
    expect(page.locator("#breakers")).to_contain_text("moderation · cnn")
    expect(page.locator("#drift")).to_contain_text("not enough data")


def test_a_drift_report_is_plotted_feature_by_feature(context: BrowserContext) -> None:
    plot = {"bins": [0, 10, 20, 40], "reference": [50, 30, 20], "production": [10, 20, 70]}
    feature: dict[str, Any] = {
        "statistic": 0.5,
        "p": 0.0001,
        "q": 0.0002,
        "effect": 0.5,
        "psi": 1.2,
    }
    feature |= {"name": "token_count", "verdict": "drift", "text": HOSTILE, "histogram": plot}
    classes = {"bins": ["allow", "block"], "reference": [9, 1], "production": [1, 9]}
    second = feature | {"name": "label", "verdict": "stable", "histogram": classes}
    third = feature | {"name": "length", "verdict": "stable", "histogram": None}
    report = {"verdict": "drift", "text": HOSTILE, "features": [feature, second, third]}

    def answer(route: Route) -> None:
        data = route.fetch().json() | {"drift": [{"pipeline": "moderation", "report": report}]}
        route.fulfill(json=data)

    context.route("**/console/data", answer)
    with watched(context) as page:
        drift = page.locator("#drift")
        expect(drift.get_by_role("img", name="token count: reference against")).to_be_visible()
        expect(drift.locator("rect.bar")).to_have_count(6 + 4)
        expect(drift).to_contain_text("PSI 1.200")
        expect(drift).to_contain_text(HOSTILE)
        assert page.evaluate("window.hit") is None


def test_nothing_that_a_job_says_of_itself_is_taken_for_markup(stack: Stack, page: Page) -> None:
    job = submitted(
        stack, pipeline="echo", input={"text": HOSTILE}, metadata={HOSTILE: HOSTILE, "x": HOSTILE}
    )
    failed = submitted(stack, pipeline="echo", input={"text": "fails"})
    error = {"code": HOSTILE, "message": HOSTILE}
    record = {"r:0": orjson.dumps([{"output": None, "error": error}]), "status": "failed"}
    stack.redis.hset(keys.job(failed["id"]), mapping=record)  # type: ignore[arg-type]
    expect(row_of(page, failed["id"]).locator(".error")).to_have_text(HOSTILE)
    for shown in (job["id"], failed["id"]):
        page.get_by_role("searchbox").fill(shown)
        page.get_by_role("button", name="Find").click()
        expect(page.locator("#detail")).to_contain_text(shown)
        expect(page.locator("#detail")).to_contain_text(HOSTILE)
    page.get_by_role("textbox", name="Text").fill(HOSTILE)
    page.get_by_label("Pipeline", exact=True).select_option("echo")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#answer")).to_contain_text(HOSTILE)
    assert page.evaluate("window.hit") is None
    assert page.locator("main script, main img").count() == 0


def test_what_is_wrong_with_a_text_is_said(context: BrowserContext, stack: Stack) -> None:
    page = context.new_page()
    page.goto("/console")
    expect(page.get_by_label("Pipeline", exact=True)).to_have_value("moderation")
    page.get_by_role("textbox", name="Text").fill(" ")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#answer")).to_contain_text("/input/text")


def test_a_new_job_takes_the_focus_from_nothing(stack: Stack, page: Page) -> None:
    job = submitted(stack, input={"text": "stays in focus"})
    link = row_of(page, job["id"]).locator("a")
    link.focus()
    later = submitted(stack, input={"text": "comes above it"})
    expect(row_of(page, later["id"])).to_be_visible()
    expect(link).to_be_focused()


def test_it_can_be_paused(stack: Stack, page: Page) -> None:
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#age")).to_have_text("paused")
    job = submitted(stack, input={"text": "comes while it is paused"})
    expect(row_of(page, job["id"])).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(row_of(page, job["id"])).to_be_visible()


def test_quantiles_are_those_of_prometheus(page: Page) -> None:
    """Values from its documentation's rule: linear within a bucket, the last bound beyond all."""
    estimate = (
        "async ([q, buckets]) => (await import('/console/quantile.js'))"
        ".quantile(q, [1, 2, 4], buckets)"
    )
    for q, buckets, expected in (
        (0.5, [10, 0, 0, 0], 0.5),
        (0.95, [10, 0, 0, 0], 0.95),
        (0.5, [5, 5, 0, 0], 1.0),
        (0.75, [2, 2, 4, 0], 3.0),
        (0.99, [0, 0, 1, 99], 4.0),
        (0.5, [0, 0, 0, 0], None),
    ):
        assert page.evaluate(estimate, [q, buckets]) == (
            None if expected is None else pytest.approx(expected)
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    stack: Stack, browser: Browser, scheme: Any
) -> None:
    job = submitted(stack, input={"text": "I will find you and kill you"})
    with (
        browser.new_context(**options(stack, color_scheme=scheme)) as context,
        watched(context) as page,
    ):
        expect(row_of(page, job["id"])).to_be_visible()
        page.get_by_role("button", name="Submit").is_enabled()
        worst = page.evaluate(CONTRASTS)
    assert worst[0][0] >= 4.5, worst


def test_on_a_phone_nothing_runs_out_of_the_page(stack: Stack, browser: Browser) -> None:
    job = submitted(stack, input={"text": "a text on a phone"}, metadata={"long": "x" * 200})
    with browser.new_context(**options(stack, viewport=PHONE)) as context, watched(context) as page:
        row_of(page, job["id"]).locator("a").click()
        expect(page.locator("#detail")).to_contain_text(job["id"])
        page.locator("#detail summary").click()
        width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]


def test_mixed_traffic_shows_in_every_panel(stack: Stack, browser: Browser) -> None:
    """With PENSTOCK_SCREENSHOTS it lasts a minute and more, and docs/img/console-*.png are made."""
    contexts = {name: browser.new_context(**options(stack, **view)) for name, view in VIEWS.items()}
    pages = {name: context.new_page() for name, context in contexts.items()}
    for page in pages.values():
        page.goto("/console")
    mixed_traffic(stack, 40 if PICTURES else 1)
    if PICTURES:
        stack.stop("gpu")  # the cpu lane answers instead, degraded
        mixed_traffic(stack, 20)
        stack.start("gpu")
        eventually(lambda: stack.alive("gpu"), "a gpu worker", within_s=120)
        mixed_traffic(stack, 30)
    for name, page in pages.items():
        page.bring_to_front()
        page.get_by_role("textbox", name="Text").fill("What an idiot. Nobody wants you here.")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("#answer .verdict")).to_be_visible()
        for owner in OWNERS:
            expect(page.locator(".jobs")).to_contain_text(owner)
        expect(page.locator("#quality")).to_contain_text("moderation · cache")
        expect(page.locator("#tiles")).not_to_contain_text("0 answered in all")
        picture(page, f"console-{name}")
    for context in contexts.values():
        context.close()
