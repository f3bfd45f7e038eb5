"""The OpenAPI 3.1 document: made from the routes, their docstrings, the schemas and one table.

    operations.py   the table: what each route takes and may answer
    webhooks.py     its part about webhooks
    usage.py        its part about usage and cost, with all that belongs to it
    operation.py    what the table's entries are
    headers.py      parameters and response headers, by name
    requests.py     what `POST /v1/jobs` accepts, from the pipelines served here
    answers.py      what comes back, as marshmallow schemas
    examples.py     an example of each
    document.py     puts them together

A new route needs one entry in operations.py; a test fails until it has one.
"""
