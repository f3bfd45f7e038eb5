"""Every Redis key, its type, its life and who writes it. Nothing else in Python spells a key.

| key                          | type   | TTL                 | written by                       |
|------------------------------|--------|---------------------|----------------------------------|
| ps:job:{id}                  | hash   | result_ttl from end | submit claim commit cancel sweep |
| ps:inputs:{id}               | hash   | upload; end of job  | stage; discard, its job's end    |
| ps:jobs:{owner}:{state}      | zset   | none; members go    | submit, whatever ends a job      |
| ps:unfinished                | hash   | none; fields go     | submit; commit, whatever ends it |
| ps:lane:{lane}:{priority}    | stream | none; units deleted | submit, sweep; commit, claim     |
| .. :{priority}:line:{owner}  | stream | none; goes if empty | submit, sweep; claim             |
| .. :{priority}:lines         | set    | none; members go    | the owners that have such a line |
| .. :{priority}:ahead         | hash   | none; fields go     | submit, sweep; claim             |
| ps:lane:{lane}:turn          | string | none                | claim: whose turn it is          |
| ps:lane:{lane}:awake         | string | linger              | claim: a worker claims again soon|
| ps:lane:{lane}:bell          | list   | 1 s                 | submit rings, that worker waits  |
| ps:lane:{lane}:settled       | string | none                | commit: units settled, ever      |
| ps:lane:{lane}:load          | hash   | none                | whatever adds or deletes units   |
| ps:lane:{lane}:rate          | hash   | none                | sweep: units drained per second  |
| ps:scale:{lane}              | hash   | none                | scale: workers it should have    |
| ps:breakers                  | hash   | none; fields go     | verdict, probe                   |
| ps:endpoints:{owner}         | hash   | none; fields go     | endpoint: id -> JSON             |
| ps:hooks:{owner}             | hash   | none; fields go     | endpoint: enabled ones' events   |
| ps:webhooks:secrets          | hash   | none                | job_secrets: owner -> JSON       |
| ps:delivery:{id}             | hash   | webhook_log from end| whatever ends a job; claim, ...  |
| ps:deliveries:{job}          | list   | that of its members | whatever ends a job; delivered   |
| ps:webhooks:due              | zset   | none; members go    | delivered; sweep, redeliver      |
| ps:webhooks:failing          | hash   | none; fields go     | delivered; endpoint              |
| ps:webhooks:breaker:{line}   | string | 1 h from a failure  | delivered; prepare; endpoint     |
| ps:webhooks:counts           | hash   | none                | delivered, claim                 |
| ps:dead:webhooks             | stream | none; max_dead kept | delivered, claim: given up       |
| ps:deadlines                 | zset   | none; members go    | submit; whatever ends a job      |
| ps:idempotency:{owner}:{key} | string | idempotency_ttl     | submit; stage: pending; discard  |
| ps:cache:{digest}            | string | cache_ttl           | commit                           |
| ps:dead                      | stream | none; max_dead kept | claim: units that killed workers |
| ps:workers                   | zset   | none; members go    | renew; leave and sweep           |
| ps:limits:*                  | string | 2 windows at most   | app.rate_limiting: tokens taken  |
| ps:sweep                     | string | sweep interval      | sweep: who swept this second     |
| ps:counts                    | hash   | none                | whatever ends a job: by status   |
| ps:series                    | hash   | none                | what Prometheus is shown         |
| ps:usage:{owner}:{day}       | hash   | 93 days             | commit, whatever ends a job      |
| ps:drift:{pipeline}:{version}| hash   | 30 d from a report  | drift: report and alarm          |
| .. :{window}                 | zset   | 3 intervals         | sample: rows by their draws      |
| .. :{window}:turn            | string | 1 minute            | tasks.drift: who compares        |
| ps:drift:hooks               | hash   | none; fields go     | endpoint: those told of drift    |
| ps:keys                      | hash   | none                | write_keys: API keys by their id |
| ps:keys:version              | string | none                | write_keys: us of its last run   |
| ps:done                      | pubsub |                     | whatever ends a job              |
| ps:none                      | never exists; deleting it is a write that Redis never refuses   |

Fields of a job's hash (Redis's clock: deadline in ms, the others in us, since the epoch):
    spec      JSON, immutable: what the client asked for (see `tasks.jobs.model.Spec`)
    owner     as in the spec, where scripts find it
    hook      of its own webhook: the line its deliveries stand in, and their events
    staged    1 if its payloads are in ps:inputs:{id}, by unit, not in its units
    status    see `tasks.jobs.model.Status`
    lane      where its units wait or ran
    created, started, finished, deadline
    total, done, failed     items
    attempts  most claims of any of its units
    cached    1 if the answer came from the cache
    a:{unit}  claims of that unit so far: the fence of a commit
    r:{unit}  JSON list of the unit's outcomes, in input order

The unit of a single job is number 0; a bulk job's units are numbered from 1, so that a bulk job's
answers are never read by accident with its record.

Fields of a unit (a stream entry): job, unit, items (their number), owner, cpu (1 if the cpu lane
may serve it), bytes (of its payload), payload (JSON list: pipeline, options, inputs, request_id,
perhaps rejected, traceparent and known answers; empty if staged), reason (why the sweep moved it
there), left (items without an answer, if not all). A dead letter has job, unit, payload, its spec
and the stream it stood in.

A lane's streams are what workers claim from, in order. The consumer group's pending list holds the
leases: consumer = holder, idle time = age of the lease by Redis's clock. `ahead` counts, by owner,
the items in a stream that nobody holds; beyond a few an owner's units wait in a line of their own
(see units.lua), so that owners take turns.

ps:jobs:{owner}:{state} lists job ids, score 0, so in their own order, which is that of time; the
state is open, or a terminal status. ps:unfinished counts, by owner, the items of jobs that have not
ended; it has a field for every owner that has jobs. In ps:inputs:{id} the field `bytes` is their
size. Scripts compute keys from fields, so Penstock wants one Redis (or a failover pair), not Redis
Cluster.

A lane's load: items and bytes of payload in it, held ones too; parked:{priority}: units in lines.
A field of ps:breakers is "pipeline/tier", its value "failures until": failed calls in a row, and
the moment (ms) until which the breaker lets nobody through; a tier that has not failed since its
last success has no field.

A hash of ps:scale has the last decision on a lane: desired (workers), decided (us, when), settled
(units until then), drain (units per second of late) and memory (JSON, what the policy keeps between
decisions; see `tasks.autoscaling.decisions`).

A delivery's hash: job, owner, event, endpoint (an id, or `job`), line, status, created, finished,
next (ms), tries, l:{try} (JSON, the log), a:0 (claims since the last try: the fence), body, url (of
a job's own webhook) and origin (JSON: request_id and traceparent of its job), once they are kept,
trigger (why it is tried now, if not by itself: manual or test). Its unit in the lane of webhooks
has the delivery's id for a job and its line for an owner, so that endpoints take turns; there
`ahead` counts units until they are settled.

ps:webhooks:counts has the deliveries that succeeded and failed, and the attempts with the result
retry or postponed.

A line's breaker is "failures until since": failed attempts in a row, the moment until which it lets
nobody through, and that of the first of the failures (ms). ps:webhooks:failing has, by endpoint,
"since last": since when all attempts have failed, and when the last one did (ms).

An endpoint is JSON: url, events, description, enabled, created (us), disabled_reason, and secrets,
newest first: each sealed (Fernet), created, and expires (us) or null. ps:hooks has the events of
the enabled ones, separated by blanks, for the scripts that end jobs. ps:webhooks:secrets has what
signs the webhooks of an owner's single jobs, as an endpoint has its own secrets.

A value of ps:keys is JSON, see `app.api_keys.records.KeyRecord`: owner, scopes, limits, times and
the digest of a key, never the key. Its version changes with every write. It is a moment rather than
a count, so that it never comes to a value again after Redis lost a write or was put back from a
copy.

A field of ps:series is a name and its labels, see `tasks.store.series`; in all at most 20,000.
Those of histograms end in the number of a bucket, from 1, or in sum (in millionths); of times, in
us.

A day of ps:usage is days since the epoch (UTC); its fields are {lane}|{pipeline}|jobs, items,
cached (those answered from the cache) and device_us (the owner's share of what devices ran).

A hash of ps:drift has the latest report (JSON), alarm (1 while it finds drift), since (us, when
that changed) and window, the last in which it was made on schedule. Windows are counted from the
epoch, each PENSTOCK_DRIFT_INTERVAL_S long by Redis's clock. A row is JSON: its draw, 0..1, and
figures about one item (see `tasks.drift.sampler`); of a window at most PENSTOCK_DRIFT_SAMPLES stay.
ps:drift:hooks has the enabled endpoints that chose `pipeline.drift`, and their owners.

The keys below ps:limits are spelled by the library `limits`: {requests/KEY ID/QUOTA/WINDOW/second}
and the same for items, tokens in this window; with /-1 behind it, in the last one.

Celery's own keys (its queues `penstock.{lane}`, `_kombu.*`, `unacked*`) are its own affair.
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
    return JOB + job_id


def inputs(job_id: str) -> str:
    return f"ps:inputs:{job_id}"


def jobs(owner: str, state: str) -> str:
    return f"ps:jobs:{owner}:{state}"


def endpoints(owner: str) -> str:
    return f"ps:endpoints:{owner}"


def hooks(owner: str) -> str:
    return f"ps:hooks:{owner}"


def delivery(delivery_id: str) -> str:
    return f"ps:delivery:{delivery_id}"


def deliveries(job_id: str) -> str:
    return f"ps:deliveries:{job_id}"


def webhook_breaker(line_: str) -> str:
    return f"ps:webhooks:breaker:{line_}"


def owner_queue(lane: str, priority: str, owner: str) -> str:
    return f"{stream(lane, priority)}:line:{owner}"


def stream(lane: str, priority: str) -> str:
    return f"{LANE}{lane}:{priority}"


def load(lane: str) -> str:
    return f"{LANE}{lane}:load"


def rate(lane: str) -> str:
    return f"{LANE}{lane}:rate"


def settled(lane: str) -> str:
    return f"{LANE}{lane}:settled"


def scale(lane: str) -> str:
    return f"ps:scale:{lane}"


def wakeup_list(lane: str) -> str:
    return f"{LANE}{lane}:bell"


def idempotency(owner: str, digest: str) -> str:
    return f"ps:idempotency:{owner}:{digest}"


def drift(pipeline: str, version: str) -> str:
    return f"ps:drift:{pipeline}:{version}"


def drift_sample(pipeline: str, version: str, window: int) -> str:
    return f"{drift(pipeline, version)}:{window}"


def drift_lock(pipeline: str, version: str, window: int) -> str:
    return f"{drift_sample(pipeline, version, window)}:turn"


def usage(owner: str, day: int) -> str:
    return f"ps:usage:{owner}:{day}"


def cache(digest: str) -> str:
    return CACHE + digest
