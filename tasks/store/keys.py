"""Names of all Redis keys, with type, expiry and the scripts that write each key.

Nothing else in Python spells a key. A writer is a script in tasks/lua, named by its folder and
file. "finish" is includes/finish, which every script that ends a job runs: jobs/submit,
jobs/cancel, queue/claim, queue/commit and queue/sweep.

| key                          | type   | expires after           | written by                    |
|------------------------------|--------|-------------------------|-------------------------------|
| ps:job:{id}                  | hash   | result_ttl from its end | jobs/submit, queue/claim,     |
|                              |        |                         | queue/commit, queue/release,  |
|                              |        |                         | queue/sweep, finish           |
| ps:inputs:{id}               | hash   | upload_patience; deleted| jobs/stage, jobs/discard,     |
|                              |        | at the end of its job   | finish                        |
| ps:jobs:{owner}:{state}      | zset   | never; members removed  | jobs/submit, finish           |
| ps:unfinished                | hash   | never; fields removed   | jobs/submit, queue/commit,    |
|                              |        |                         | queue/sweep, finish           |
| ps:lane:{lane}:{priority}    | stream | never; entries deleted  | jobs/submit, queue/sweep,     |
|                              |        |                         | queue/commit, queue/claim     |
| .. :{priority}:line:{owner}  | stream | never; deleted if empty | jobs/submit, queue/sweep,     |
|                              |        |                         | queue/claim                   |
| .. :{priority}:lines         | set    | never; members removed  | the same: owners with a queue |
| .. :{priority}:ahead         | hash   | never; fields removed   | jobs/submit, queue/sweep,     |
|                              |        |                         | queue/claim                   |
| ps:lane:{lane}:turn          | string | never                   | queue/claim: number of claims,|
|                              |        |                         | sets the order of priorities  |
| ps:lane:{lane}:awake         | string | linger                  | queue/claim: a worker is about|
|                              |        |                         | to claim again                |
| ps:lane:{lane}:bell          | list   | 1 s                     | jobs/submit pushes, the       |
|                              |        |                         | waiting worker pops           |
| ps:lane:{lane}:settled       | string | never                   | queue/commit, webhooks/record:|
|                              |        |                         | units ever settled            |
| ps:lane:{lane}:load          | hash   | never                   | whatever adds or deletes units|
| ps:lane:{lane}:rate          | hash   | never                   | queue/sweep: units per second |
| ps:scale:{lane}              | hash   | never                   | autoscaling/save_decision     |
| ps:breakers                  | hash   | never; fields removed   | queue/breaker_record,         |
|                              |        |                         | queue/breaker_probe           |
| ps:endpoints:{owner}         | hash   | never; fields removed   | webhooks/put_endpoint:        |
|                              |        |                         | id -> JSON                    |
| ps:hooks:{owner}             | hash   | never; fields removed   | webhooks/put_endpoint: events |
|                              |        |                         | of enabled endpoints          |
| ps:webhooks:secrets          | hash   | never                   | tasks.webhooks.owner_secrets: |
|                              |        |                         | owner -> JSON                 |
| ps:delivery:{id}             | hash   | webhook_log from its end| finish, queue/claim,          |
|                              |        |                         | webhooks/record and others    |
| ps:deliveries:{job}          | list   | as its deliveries       | finish, webhooks/record       |
| ps:webhooks:due              | zset   | never; members removed  | webhooks/record, queue/sweep, |
|                              |        |                         | webhooks/redeliver            |
| ps:webhooks:failing          | hash   | never; fields removed   | webhooks/record,              |
|                              |        |                         | webhooks/put_endpoint         |
| ps:webhooks:breaker:{target} | string | 1 h from a failure      | webhooks/record,              |
|                              |        |                         | webhooks/load,                |
|                              |        |                         | webhooks/put_endpoint         |
| ps:webhooks:counts           | hash   | never                   | webhooks/record, queue/claim  |
| ps:dead:webhooks             | stream | never; max_dead entries | webhooks/record, queue/claim  |
| ps:deadlines                 | zset   | never; members removed  | jobs/submit, finish           |
| ps:idempotency:{owner}:{key} | string | idempotency_ttl         | jobs/submit, jobs/stage       |
|                              |        |                         | ("pending"), jobs/discard     |
| ps:cache:{digest}            | string | cache_ttl               | queue/commit                  |
| ps:dead                      | stream | never; max_dead entries | queue/claim: units that       |
|                              |        |                         | killed workers                |
| ps:workers                   | zset   | never; members removed  | queue/renew, queue/deregister,|
|                              |        |                         | queue/sweep                   |
| ps:limits:*                  | string | 2 windows at most       | app.rate_limiting: tokens     |
|                              |        |                         | spent                         |
| ps:sweep                     | string | sweep interval          | queue/sweep: the lock of one  |
|                              |        |                         | sweep                         |
| ps:counts                    | hash   | never                   | finish: ended jobs by status  |
| ps:series                    | hash   | never                   | includes/series: counters     |
|                              |        |                         | shown to Prometheus           |
| ps:usage:{owner}:{day}       | hash   | 93 days                 | queue/commit, finish          |
| ps:drift:{pipeline}:{version}| hash   | 30 days from a report   | drift/save_report             |
| .. :{window}                 | zset   | 3 intervals             | drift/add_samples: rows by    |
|                              |        |                         | their draws                   |
| .. :{window}:turn            | string | 1 minute                | tasks.drift.reports: lock of  |
|                              |        |                         | a comparison                  |
| ps:drift:hooks               | hash   | never; fields removed   | webhooks/put_endpoint         |
| ps:keys                      | hash   | never                   | api_keys/write: API keys by id|
| ps:keys:version              | string | never                   | api_keys/write: us of its last|
|                              |        |                         | run                           |
| ps:done                      | pubsub |                         | finish                        |
| ps:none                      | none   | it never exists: deleting it is a write that Redis      |
|                              |        | does not refuse when its memory is full                 |

Fields of a job's hash. Times are Redis's clock since the epoch: deadline in ms, the others in us.
    spec      JSON, immutable: what the client asked for (see `tasks.jobs.model.Spec`)
    owner     as in the spec, so that scripts find it
    hook      of the job's own webhook: the queue of its deliveries, and their events
    staged    1 if its payloads are in ps:inputs:{id}, by unit, and not in its units
    status    see `tasks.jobs.model.Status`
    lane      where its units wait or ran
    created, started, finished, deadline
    total, done, failed     items
    attempts  most claims of any of its units
    cached    1 if the answer came from the cache
    a:{unit}  claims of that unit so far; a commit of an earlier claim is refused by it
    r:{unit}  JSON list of the unit's outcomes, in input order

The unit of a single job is number 0. The units of a bulk job are numbered from 1, so that its
answers are never read by accident with its record.

Fields of a unit (a stream entry): job, unit, items (their number), owner, cpu (1 if the cpu lane
may serve it), bytes (of its payload), payload (JSON list, see `tasks.jobs.payload.Payload`; empty
if staged), reason (why the sweep moved it there), left (items without an answer, if not all). A
dead letter has job, unit, payload, the job's spec and the stream that held it.

Workers claim from a lane's streams, in an order of priorities. The consumer group's pending list
holds the leases: consumer = holder, idle time = age of the lease by Redis's clock. `ahead` counts,
by owner, the items in a stream that no worker holds. When an owner has more than a few, its further
units wait in a queue of its own (`.. :line:{owner}`, see units.lua), and the owners are served in
turn (round-robin).

ps:jobs:{owner}:{state} lists job ids with score 0, so ordered by id, which is by time. The state is
`open` or a terminal status. ps:unfinished counts, by owner, the items of jobs that have not ended;
it has a field for every owner that has jobs. In ps:inputs:{id} the field `bytes` is their size.
Scripts compute keys from fields, so Penstock needs one Redis (or a failover pair), not Redis
Cluster.

A lane's load: items and bytes of payload in it, claimed ones too; parked:{priority}: units in the
queues of owners. A field of ps:breakers is "pipeline/tier", its value "failures until": failed
calls in a row, and the moment (ms) until which the circuit breaker is open. A tier that has not
failed since its last success has no field.

A hash of ps:scale has the last decision on a lane: desired (workers), decided (us), settled (units
by then), drain (recent units per second) and memory (JSON, the state of the policy; see
`tasks.autoscaling.policy.PolicyState`).

A delivery's hash: job, owner, event, endpoint (an id, or `job`), line (its target: the endpoint, or
the host to which an owner's jobs send), status, created, finished, next (ms), tries, l:{try} (JSON,
the log), a:0 (claims since the last try, as for a unit). Kept with the first failed attempt: body,
url (of a job's own webhook) and origin (JSON: request_id and traceparent of its job). trigger: why
it is tried now, if not by schedule: manual or test. Its unit in the webhooks lane has the
delivery's id as job and its target as owner, so that endpoints are served in turn; there `ahead`
counts units until they are settled.

ps:webhooks:counts has the deliveries that succeeded and failed, and the attempts with the result
retry or postponed.

The circuit breaker of a delivery queue is "failures until since": failed attempts in a row, the
moment until which it is open, and the time of the first of the failures (ms). ps:webhooks:failing
has, by endpoint, "since last": since when all attempts have failed, and the last of them (ms).

An endpoint is JSON: url, events, description, enabled, created (us), disabled_reason, and secrets,
newest first: each sealed (Fernet), created, and expires (us) or null. ps:hooks has the events of
the enabled ones, separated by spaces, for the scripts that end jobs. ps:webhooks:secrets has, in
the same form, the secrets that sign the webhooks of an owner's single jobs.

A value of ps:keys is JSON, see `app.api_keys.records.KeyRecord`: owner, scopes, limits, times and
the digest of a key, never the key. Its version changes with every write. It is a time and not a
count, so that no value is used twice, even after Redis lost a write or was restored from a backup.

A field of ps:series is a name and its labels, see `tasks.store.series`; there are at most 20,000.
Those of histograms end in the number of a bucket, from 1, or in sum (in millionths); times are in
us.

The day of ps:usage is days since the epoch (UTC); its fields are {lane}|{pipeline}|jobs, items,
cached (those answered from the cache) and device_us (the owner's share of device time).

A hash of ps:drift has the latest report (JSON), alarm (1 while it finds drift), since (us, when
that changed) and window, the last in which it was made on schedule. Windows are counted from the
epoch, each PENSTOCK_DRIFT_INTERVAL_S long by Redis's clock. A row is JSON: its draw, 0..1, and
figures about one item (see `tasks.drift.sampler`). A window keeps at most PENSTOCK_DRIFT_SAMPLES
rows. ps:drift:hooks has the enabled endpoints that subscribe to `pipeline.drift`, and their owners.

The library `limits` names the keys below ps:limits: {requests/KEY ID/QUOTA/WINDOW/second}, the same
for items: tokens spent in this window; with /-1 appended, in the previous one.

Celery names its own keys: its queues `penstock.{lane}`, `_kombu.*`, `unacked*`.
"""

GROUP = "workers"
DONE = "ps:done"
DEADLINES = "ps:deadlines"
DEAD = "ps:dead"
DEAD_WEBHOOKS = "ps:dead:webhooks"
WEBHOOKS_DUE = "ps:webhooks:due"
WEBHOOKS_FAILING = "ps:webhooks:failing"
WEBHOOKS_COUNTS = "ps:webhooks:counts"
WEBHOOKS_SECRETS = "ps:webhooks:secrets"
WORKERS = "ps:workers"
UNFINISHED = "ps:unfinished"
SWEEP = "ps:sweep"
COUNTS = "ps:counts"
SERIES = "ps:series"
BREAKERS = "ps:breakers"
API_KEYS = "ps:keys"
API_KEYS_VERSION = "ps:keys:version"
LIMITS = "ps:limits"
DRIFT_HOOKS = "ps:drift:hooks"
JOB = "ps:job:"
LANE = "ps:lane:"
CACHE = "ps:cache:"


def job(job_id: str) -> str:
    """Hash: the record of a job."""
    return JOB + job_id


def inputs(job_id: str) -> str:
    """Hash: the staged payloads of an uploaded job, by unit."""
    return f"ps:inputs:{job_id}"


def jobs(owner: str, state: str) -> str:
    """Sorted set: ids of an owner's jobs that are open or have a terminal status."""
    return f"ps:jobs:{owner}:{state}"


def endpoints(owner: str) -> str:
    """Hash: an owner's webhook endpoints, by id."""
    return f"ps:endpoints:{owner}"


def hooks(owner: str) -> str:
    """Hash: events to which an owner's enabled endpoints subscribe, by id."""
    return f"ps:hooks:{owner}"


def delivery(delivery_id: str) -> str:
    """Hash: the record of a webhook delivery."""
    return f"ps:delivery:{delivery_id}"


def deliveries(job_id: str) -> str:
    """List: ids of a job's webhook deliveries."""
    return f"ps:deliveries:{job_id}"


def webhook_breaker(target: str) -> str:
    """String: the state of the circuit breaker of a webhook target."""
    return f"ps:webhooks:breaker:{target}"


def owner_queue(lane: str, priority: str, owner: str) -> str:
    """Stream: units of one owner that wait behind the lane's stream."""
    return f"{stream(lane, priority)}:line:{owner}"


def stream(lane: str, priority: str) -> str:
    """Stream: units of a lane with one priority, from which workers claim."""
    return f"{LANE}{lane}:{priority}"


def load(lane: str) -> str:
    """Hash: items and bytes in a lane, claimed ones too."""
    return f"{LANE}{lane}:load"


def rate(lane: str) -> str:
    """Hash: a lane's throughput in units per second."""
    return f"{LANE}{lane}:rate"


def settled(lane: str) -> str:
    """String: the counter of units ever settled in a lane."""
    return f"{LANE}{lane}:settled"


def scale(lane: str) -> str:
    """Hash: the last autoscaling decision on a lane."""
    return f"ps:scale:{lane}"


def wakeup_list(lane: str) -> str:
    """List: what an idle worker of a lane blocks on until a job is submitted."""
    return f"{LANE}{lane}:bell"


def idempotency(owner: str, digest: str) -> str:
    """String: the job that an owner's idempotency key stands for."""
    return f"ps:idempotency:{owner}:{digest}"


def drift(pipeline: str, version: str) -> str:
    """Hash: the latest drift report on a model version."""
    return f"ps:drift:{pipeline}:{version}"


def drift_sample(pipeline: str, version: str, window: int) -> str:
    """Sorted set: the sample of a model version's answers in one window."""
    return f"{drift(pipeline, version)}:{window}"


def drift_lock(pipeline: str, version: str, window: int) -> str:
    """String: the lock of the comparison of one window with the reference."""
    return f"{drift_sample(pipeline, version, window)}:turn"


def usage(owner: str, day: int) -> str:
    """Hash: what an owner used on one day, counted in days since the epoch."""
    return f"ps:usage:{owner}:{day}"


def cache(digest: str) -> str:
    """String: the cached answer to an input."""
    return CACHE + digest
