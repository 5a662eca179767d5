"""Every bound of the platform, with its unit and why it is that. Relations between them are asserted below."""

from __future__ import annotations

COMBINATIONS_MAX = 100_000_000
"""Grid points of one sweep. Beyond it a typo in a range is likelier than a wish."""

AXIS_VALUES_MAX = 100_000
"""Values of one parameter in a grid: they are held, their combinations are not."""

SAMPLED_MAX = 1_000_000
"""Combinations drawn out of a grid: their numbers are held, 8 MB of them."""

CHUNK_COMBINATIONS_MAX = 12_800
"""Combinations of one sweep chunk: what is stored together, and what one killed run may have to do again."""

CHUNK_COMBINATIONS_MIN = 128
"""Combinations of one sweep chunk at least: fewer would spend their time on shared indicator tables."""

CHUNK_BAR_STEPS = 33_000_000_000
"""Bars x names x combinations one chunk aims at, between the two bounds above: some seconds of work."""

CHUNK_COLUMNS_MAX = 256
"""Values of the inner axis in one chunk: the widest block of lanes. Chunks nearly square share the most tables."""

TASK_COMBINATIONS_MAX = 32_000
"""Combinations one task computes at most, of several chunks that share tables."""

TASK_RETURNS_BYTES_MAX = 640 << 20
"""Returns by bar and combination that one task holds at most."""

GROUPED_BAR_STEPS_MIN = 40_000_000_000
"""Bars x names x combinations from which chunks are grouped into tasks: below, a bar of progress is worth more."""

CHUNKS_IN_FLIGHT_PER_CPU = 3
"""Tasks handed to Ray ahead of the results: enough to keep a core busy, few enough to stop early."""

CHUNKS_IN_FLIGHT_PER_GPU = 2
"""Tasks handed to Ray ahead of the results for each GPU: one at work, the next one waiting for it."""

GPU_MEMORY_SHARE_MAX = 0.8
"""Share of a GPU's free memory that an evaluation plans with; the rest is for the driver's and the compiler's needs."""

GPU_LANES_MAX = 2_048
"""Combinations of one slab on a GPU: threads enough with groups of names, and a chunk has slabs that overlap."""

TOP_K_MAX = 1_000
"""Best combinations that a sweep keeps with their full curves."""

FOLDS_MAX = 1_000
"""Folds of one cross-validation: each adds columns to every row of a sweep's table."""

TICK = "0.0001"
"""Smallest price step of the sample's instruments; the lake quantises prices to it."""

DB_POOL_SIZE_DEFAULT = 20
"""Postgres connections of one process, as the source says."""

CACHE_CONNECTIONS_DEFAULT = 50
"""Connections of one process to Valkey or Redis; more commands at a time wait in turn."""

ORDERS_IN_FLIGHT_MAX = 8
"""Orders of one strategy between hand-over and the venue's acknowledgement; the rest wait their turn."""

QUEUE_DEPTH_MAX = 10_000
"""Items any in-process queue may hold before its producer waits."""

DEDUP_WINDOW_S = 86_400
"""How long an idempotency key bars a second order: longer than any retry, a day."""

CONTENT_WINDOW_S = 1.0
"""How long an order bars the same one under another key: a client that lost its key asks again at once."""

CONTENTS_IN_MEMORY_MAX = 10_000
"""Contents an OMS bars from memory; the journal bars all of the window."""

DEDUP_KEYS_IN_MEMORY_MAX = 100_000
"""Keys an OMS answers repeats from without a look into the journal: about 30 MB. The journal bars the older ones."""

ORDERS_ENDED_IN_MEMORY_MAX = 10_000
"""Ended orders an OMS keeps at hand for late reports; older ones are read from the journal."""

JOURNAL_BATCH_MAX = 256
"""Steps committed together when they come faster than commits: one transaction stays under a few ms."""

CHAIN_ATTEMPTS_MAX = 50
"""How often a batch is linked anew after other funds' writers took its place in the audit chain."""

OUTBOX_BATCH_MAX = 100
"""Messages published between two notes of it in the journal: what a crash may repeat to the bus."""

OUTBOX_RETRY_S = 1.0
"""How long the outbox waits before it tries a silent bus again."""

RESENDS_MAX = 3
"""How often one call sends an order or asks about it again before it leaves it in doubt."""

BROKER_TIMEOUT_S = 3.0
"""How long one request to a venue may take before the order is in doubt."""

LATE_ARRIVAL_S = 1.0
"""How much later than it may leave a request is still believed to arrive: the network, and clocks that differ."""

LEASE_S = 6.0
"""How long a writer may speak for its fund without renewing: what a crash costs at most before another takes over."""

LEASE_RENEW_S = 1.0
"""How often a writer renews its lease."""

LEASE_MARGIN_S = 0.5
"""How much earlier than the journal's clock a writer takes its lease for over: clocks do not run alike."""

RATE_MESSAGES_MAX = 10_000
"""Messages of a fund whose times risk remembers: no limit on messages a second can be higher."""

REPEATS_MAX = 10_000
"""Trades of one strategy, name and side whose times risk remembers."""

VETO_TIMEOUT_S = 5.0
"""How long gate 7 may think, as the source says."""

CONNECT_TIMEOUT_S = 10.0
"""How long a client waits for a server of the stack."""

START_TIMEOUT_S = 120.0
"""How long one part of the stack may take to come up; Ray needs 7 s on two quiet cores, far longer on busy ones."""

STOP_TIMEOUT_S = 30.0
"""How long one part may take to go down before it is killed by pid."""

SQL_MEMORY_BYTES_MAX = 4 << 30
"""Memory of one DuckDB session."""

SQL_TIMEOUT_S = 300.0
"""How long one statement of a DuckDB session may run: a scan of a billion rows takes less than a minute."""

SQL_RESULT_BYTES_MAX = 4 << 30
"""Bytes of one answer in SQL: rows handed over are outside the session's memory."""

assert BROKER_TIMEOUT_S + LEASE_RENEW_S + LEASE_MARGIN_S < LEASE_S, "a send must end inside the lease it began under"
assert CHUNK_COMBINATIONS_MIN < CHUNK_COMBINATIONS_MAX < COMBINATIONS_MAX
