"""What schemathesis is spared: uploads, whose lines and query OpenAPI 3.1 cannot tie together.

That there is a pipeline in the query depends on the media type, a line's schema on the pipeline.
They have tests of their own: tests/app/test_bulk*.py and tests/integration/test_bulk_upload.py.

URLs of webhooks are narrower here than in the document, since no pattern says all that
tasks/addresses.py asks of them; and they lead nowhere (RFC 2606).
"""

from __future__ import annotations

from typing import Any

import schemathesis

from app.openapi.headers import UPLOAD
from app.openapi.operation import NDJSON


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    submit = raw_schema["paths"]["/v1/jobs"]["post"]
    del submit["requestBody"]["content"][NDJSON]
    left_out = {f"#/components/parameters/{name}" for name in UPLOAD}
    submit["parameters"] = [p for p in submit["parameters"] if p["$ref"] not in left_out]
    url = raw_schema["components"]["schemas"]["WebhookURL"]
    url["pattern"] = "^https://[a-z]{1,20}\\.invalid(/[0-9A-Za-z_~-]{0,20}){0,3}$"
    del url["format"], url["maxLength"]
