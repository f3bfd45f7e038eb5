"""Hooks of schemathesis: leave out uploads, whose lines and query OpenAPI 3.1 cannot relate.

That there is a pipeline in the query depends on the media type, a line's schema on the pipeline.
They have tests of their own: tests/app/routes/jobs/test_bulk*.py and
tests/integration/test_bulk_upload.py.

URLs of webhooks are narrower here than in the document, since no pattern expresses all rules of
tasks/webhooks/url_policy.py; and their hosts do not exist (RFC 2606). A URL that is
broken on purpose may therefore still be valid for the service: such a case proves nothing and is
left out.
"""

from __future__ import annotations

import re
from typing import Any

import schemathesis

from app.openapi.headers import UPLOAD
from app.openapi.operation import NDJSON

URL = "^https://[a-z]{1,20}\\.invalid(/[0-9A-Za-z_~-]{0,20}){0,3}$"


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    submit = raw_schema["paths"]["/v1/jobs"]["post"]
    del submit["requestBody"]["content"][NDJSON]
    left_out = {f"#/components/parameters/{name}" for name in UPLOAD}
    submit["parameters"] = [p for p in submit["parameters"] if p["$ref"] not in left_out]
    url = raw_schema["components"]["schemas"]["WebhookURL"]
    url["pattern"] = URL
    del url["format"], url["maxLength"]


@schemathesis.hook
def filter_case(_: Any, case: Any) -> bool:
    body = case.body if isinstance(case.body, dict) else {}
    webhook = body.get("webhook")
    urls = [body.get("url"), webhook.get("url") if isinstance(webhook, dict) else None]
    return not any(isinstance(url, str) and _may_pass(url) for url in urls)


def _may_pass(url: str) -> bool:
    """Whether it is no URL of those above, but perhaps another good one."""
    return not re.search(URL, url) and url.startswith("https://")
