"""The console in a browser, as somebody who knows the password sees it."""

from __future__ import annotations

import secrets
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.stack import Stack

USER = "operator"
PASSWORD = secrets.token_hex(16)


def options(stack: Stack, **more: Any) -> dict[str, Any]:
    """Of somebody who knows Flower's password, which the browser tells only when it is asked."""
    credentials = {"username": USER, "password": PASSWORD, "send": "unauthorized"}
    known = {"base_url": stack.url, "http_credentials": credentials, "locale": "en-GB"}
    return known | {"timezone_id": "UTC"} | more


class watched:  # noqa: N801
    """A page of the console; raises if it said anything on its console by the end."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.said: list[str] = []

    def __enter__(self) -> Page:
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto("/console")
        expect(self.page.get_by_role("status")).to_have_text("ready")
        return self.page

    def __exit__(self, *_: object) -> None:
        assert self.said == []


def row_of(page: Page, job_id: str) -> Any:
    return page.locator(f'.jobs tr[data-key="{job_id}"]')
