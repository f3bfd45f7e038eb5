"""The OpenAPI 3.1 document: made from the routes, their docstrings, the schemas and one table.

    operations.py   the table: parameters, responses and errors of each route
    webhooks.py     its part about webhooks, with schemas
    usage.py        its part about usage and cost, with schemas and examples
    drift.py        its part about drift, with schemas and examples
    lanes.py        its part about lanes, with schema and example
    operation.py    the classes of the table's entries
    headers.py      parameters and response headers, by name
    requests.py     the schema of `POST /v1/jobs`, from the pipelines served here
    answers.py      the schemas of the other responses
    examples.py     an example of each
    convert.py      marshmallow schemas as JSON Schema
    document.py     builds the document from all of them

A new route needs one entry in operations.py; a test fails until it has one.
"""
