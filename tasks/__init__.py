"""Jobs, lanes and workers; the folders are rooms, and imports go one way through them.

The path of a job:

    app/routes/jobs/views.py          POST /v1/jobs
    app/schemas/job.py                validate
    app/access_control/               who, how much, whose
    tasks/jobs/submit.py              -> tasks/lua/jobs/submit.lua
    tasks/queue/wakeups.py            wake a worker
    tasks/worker/child.py             the process
    tasks/queue/consumer.py           -> tasks/lua/queue/claim.lua
    tasks/inference/batch.py          units -> questions
    ml/serving/runtime.py             tiers
    tasks/inference/settlement.py     answers -> units
    tasks/queue/consumer.py           -> tasks/lua/queue/commit.lua -> tasks/lua/includes/finish.lua
    tasks/webhooks/delivery/          tell the owner
    app/job_updates/                  tell who waits
    tasks/jobs/read.py                GET /v1/jobs/{id}
"""
