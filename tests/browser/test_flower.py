from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.pictures import picture
from tests.eventually import eventually
from tests.ports import free_port
from tests.stack import Stack

USER = "operator"
PASSWORD = secrets.token_hex(16)
TEXT = "a text that nobody must read in a dashboard"
PATHS = ("/", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers", "/workers?json=1")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What `make up` starts, with Flower, which hears of every worker."""
    folder = tmp_path_factory.mktemp("stack")
    stack = Stack(folder, "tests.pipelines:moderation", flower_port=free_port())
    try:
        stack.start_all()
        stack.start("flower", FLOWER_USER=USER, FLOWER_PASSWORD=PASSWORD)
        eventually(lambda: online(stack) >= {"gpu", "cpu"}, "Flower hears the workers", within_s=60)
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def flower(stack: Stack) -> Iterator[httpx.Client]:
    with flower_client(stack) as client:
        yield client


@pytest.fixture
def page(stack: Stack, browser: Browser) -> Iterator[Page]:
    """A page of somebody who knows the password."""
    credentials: Any = {"username": USER, "password": PASSWORD}
    size: Any = {"width": 1500, "height": 760}  # all columns of the list of tasks
    with browser.new_context(
        base_url=url(stack), http_credentials=credentials, viewport=size
    ) as context:
        yield context.new_page()


def url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.settings.flower_port}"


def flower_client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=url(stack), auth=(USER, PASSWORD), timeout=30)


def online(stack: Stack) -> set[str]:
    """Lanes whose worker Flower sees; nothing until it listens."""
    with flower_client(stack) as client:
        try:
            workers = client.get("/workers", params={"json": "1"}).json()["data"]
        except httpx.TransportError:
            return set()
    return {str(worker["hostname"]).partition("@")[0] for worker in workers if worker["status"]}


def submit(stack: Stack, body: dict[str, Any]) -> dict[str, Any]:
    """A job that has ended."""
    with stack.client() as client:
        answer = client.post(
            "/v1/jobs", json={"pipeline": "moderation", **body}, headers={"Prefer": "wait=30"}
        )
    job: dict[str, Any] = answer.json()
    assert job["status"] == "succeeded", job
    return job


def shown(flower: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job as Flower's API has it, once it has it."""
    path = f"/api/task/info/{job['id']}"
    eventually(lambda: flower.get(path).status_code == 200, f"{job['id']} in Flower")
    task: dict[str, Any] = flower.get(path).json()
    return task


def test_a_job_is_found_by_its_id_and_shows_success(
    stack: Stack, flower: httpx.Client, page: Page
) -> None:
    for text in ("hello", "I will find you and kill you", "you stupid idiot"):
        submit(stack, {"input": {"text": text}})
    submit(stack, {"inputs": [{"text": f"{TEXT} {n}"} for n in range(40)]})
    shown(flower, submit(stack, {"input": {"text": "hello"}}))  # from the cache
    job = submit(stack, {"input": {"text": TEXT}})
    shown(flower, job)
    page.goto("/tasks")
    expect(page.get_by_text("penstock.run_batches").first).to_be_visible()
    picture(page, "flower-tasks")
    page.get_by_role("searchbox").fill(job["id"])
    rows = page.locator("#tasks-table tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("moderation")
    expect(rows).to_contain_text("SUCCESS")
    rows.locator(f'a[href*="{job["id"]}"]').click()
    expect(page.locator("#task-page .badge")).to_have_text("SUCCESS")
    expect(page.locator("#task-page")).to_contain_text(job["output"]["label"])
    expect(page.locator("#task-page")).to_contain_text("gpu@")
    picture(page, "flower-job")


def test_a_job_is_told_with_its_times_and_without_its_text(
    stack: Stack, flower: httpx.Client
) -> None:
    job = submit(stack, {"input": {"text": f"{TEXT}, told"}})
    task = shown(flower, job)
    assert (task["name"], task["args"], task["state"]) == ("moderation", "1 item", "SUCCESS")
    assert task["result"] == f"label={job['output']['label']}, tier={job['output']['tier']}"
    assert round(task["runtime"] * 1000, 3) == job["run_ms"]
    assert round((task["started"] - task["received"]) * 1000, 1) == round(job["queue_ms"], 1)
    assert TEXT not in flower.get("/api/tasks").text


def test_an_answer_from_the_cache_is_shown_by_the_web_process(
    stack: Stack, flower: httpx.Client
) -> None:
    first = submit(stack, {"input": {"text": f"{TEXT}, again"}})
    again = submit(stack, {"input": {"text": f"{TEXT}, again"}})
    assert (first["cached"], again["cached"]) == (False, True)
    task = shown(flower, again)
    assert (task["state"], task["worker"].partition("@")[0]) == ("SUCCESS", "web")
    assert flower.get(f"/worker/{task['worker']}").status_code == 404  # no Celery worker, no page


def test_a_batch_is_the_task_that_ran_it(stack: Stack, flower: httpx.Client) -> None:
    submit(stack, {"input": {"text": f"{TEXT}, in a batch"}})
    eventually(
        lambda: any(
            (task["name"], task["state"]) == ("penstock.run_batches", "SUCCESS")
            for task in flower.get("/api/tasks").json().values()
        ),
        "a batch in Flower",
    )


def test_the_broker_view_counts_what_waits_in_the_queues_of_the_lanes(page: Page) -> None:
    page.goto("/broker")
    row = page.locator("#queue-table tbody tr", has_text="penstock.gpu")
    expect(row.locator("td").nth(1)).to_have_text("0")
    picture(page, "flower-broker")


def test_a_wrong_password_is_refused_and_so_is_none(stack: Stack, browser: Browser) -> None:
    wrong: Any = {"username": USER, "password": PASSWORD[:-1]}
    for credentials in (wrong, None):
        with browser.new_context(base_url=url(stack), http_credentials=credentials) as context:
            for path in PATHS:
                assert context.request.get(path).status == 401, path
    with flower_client(stack) as client:
        assert {client.get(path).status_code for path in PATHS} == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/api/worker/shutdown/{gpu}",
        "/api/worker/pool/shrink/{gpu}",
        "/api/worker/queue/cancel-consumer/{gpu}?queue=penstock.gpu",
        "/api/task/revoke/{job}?terminate=true",
        "/api/task/send-task/penstock.run_batches",
    ],
)
def test_nothing_can_be_stopped_or_started_as_it_is_read_only(
    stack: Stack, flower: httpx.Client, path: str
) -> None:
    job = submit(stack, {"input": {"text": TEXT}})
    gpu = next(name for name in flower.get("/api/workers").json() if name.startswith("gpu@"))
    answer = flower.post(path.format(gpu=gpu, job=job["id"]))
    assert (answer.status_code, answer.text) == (403, "Read only mode is enabled")


def test_the_page_of_a_worker_offers_no_way_to_stop_it(flower: httpx.Client, page: Page) -> None:
    gpu = next(name for name in flower.get("/api/workers").json() if name.startswith("gpu@"))
    page.goto(f"/worker/{gpu}")
    expect(page.locator("#workername")).to_have_text(gpu)
    expect(page.locator("#worker-shutdown")).to_have_count(0)


def test_no_page_and_no_log_has_a_password(stack: Stack, flower: httpx.Client) -> None:
    known = flower.get("/api/workers", params={"refresh": "1"}).json()
    seen = [flower.get(f"/worker/{name}").text for name in known]
    seen += [flower.get(path).text for path in PATHS]
    seen += [stack.log(name) for name in stack.processes]
    assert len(known) >= 2
    assert "Visit me at" in seen[-1]
    for secret in (PASSWORD, stack.settings.redis_password):
        assert not any(secret in text for text in seen)
