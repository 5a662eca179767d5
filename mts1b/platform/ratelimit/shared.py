"""The log of calls that all processes share, in Redis: asked and noted in one atomic script, by the server's clock.

What makes it safe when the server is restarted: its run id is kept beside the log. A run that is not the one kept means
that the last second before a crash may not have reached the disk; then every short window counts as used up when the
server started, no call is granted to a process before it has reported what it made itself, and reports are by name, so
that what was not lost counts once. For long windows the number of calls granted so far has a ceiling, which is on the
disk before it is reached: after a restart the calls up to it count as made, each until it is reported.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.platform.ratelimit.windows import SHORT_US, Window

if TYPE_CHECKING:
    from mts1b.platform.cache import Scripts

ASK = """
-- KEYS: log, state. ARGV: client's name for its next calls, how many, the mark it knows, 1 when the server keeps
-- nothing on disk, microseconds of a short window, by how much a ceiling is raised (0: there is none), the ceiling that
-- the client knows to be on the disk, number of windows, limit and length of each, then name and age of each call it
-- reports; age -1: it was not made after all. Gives: 1 granted, 0 not yet, -1 report first, 2 go on once the ceiling is
-- on the disk; microseconds to wait, or that ceiling; the mark; 1 when the log is new.
local function text(number) return string.format('%.0f', number) end
local log, state = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local about = redis.call('INFO', 'server')
local run = string.match(about, 'run_id:(%w+)')
local up = tonumber(string.match(about, 'uptime_in_seconds:(%d+)'))
local started = now - math.max(0, up - 1) * 1000000  -- not before it did: both of its seconds are cut off
local held = redis.call('HMGET', state, 'run', 'epoch', 'longest', 'pause', 'granted', 'ceiling', 'raised', 'unsure')
local wanted, short, step, count = tonumber(ARGV[2]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8])
local granted, ceiling, raised = tonumber(held[5] or 0), tonumber(held[6] or 0), tonumber(held[7] or 0)
local unsure = tonumber(held[8] or 0)
if tonumber(ARGV[7]) <= raised then ceiling = math.max(ceiling, tonumber(ARGV[7])) end

local windows, longest = {}, tonumber(held[3] or 0)
for i = 1, count do
  windows[i] = {tonumber(ARGV[7 + 2 * i]), tonumber(ARGV[8 + 2 * i])}
  longest = math.max(longest, windows[i][2])
end

local function held_in(window, at)
  return redis.call('ZCOUNT', log, '(' .. text(at - window[2]), '+inf')
end
local function fill(at)
  local missing = 0
  for _, window in ipairs(windows) do
    if window[2] < short then missing = math.max(missing, window[1] - held_in(window, at)) end
  end
  for i = 1, missing do redis.call('ZADD', log, text(at), 'lost:' .. text(at) .. ':' .. i) end
end

local epoch = held[2]
local created = 0
if not held[1] then
  epoch = ARGV[1]
  created = 1
  if ARGV[3] ~= '' then fill(now) elseif ARGV[4] == '1' then fill(started) end
elseif held[1] ~= run then
  fill(started)
  for i = unsure + 1, unsure + raised - granted do redis.call('ZADD', log, text(started), 'unsure:' .. i) end
  unsure = unsure + math.max(0, raised - granted)
  granted, ceiling = raised, raised
end
local function keep()
  redis.call('HSET', state, 'run', run, 'epoch', epoch, 'longest', text(longest), 'granted', text(granted),
    'ceiling', text(ceiling), 'raised', text(raised), 'unsure', text(unsure))
end

for i = 9 + 2 * count, #ARGV, 2 do
  if ARGV[i + 1] == '-1' then
    redis.call('ZREM', log, ARGV[i])
  else
    local age = tonumber(ARGV[i + 1])
    local fresh = redis.call('ZADD', log, 'NX', text(now - age), ARGV[i]) == 1
    if fresh and unsure > 0 and age < longest and string.find(ARGV[i], '.', 1, true) then  -- granted here, and lost
      redis.call('ZREM', log, 'unsure:' .. unsure)
      unsure = unsure - 1
    end
  end
end
keep()
redis.call('ZREMRANGEBYSCORE', log, '-inf', text(now - longest))

local mark = run .. ':' .. epoch
if ARGV[3] ~= '' and ARGV[3] ~= mark then return {-1, 0, mark, created} end

local wait = math.max(0, tonumber(held[4] or 0) - now)
for _, window in ipairs(windows) do
  local over = held_in(window, now) + wanted - window[1]
  if over > 0 then
    local from = '(' .. text(now - window[2])
    local oldest = redis.call('ZRANGEBYSCORE', log, from, '+inf', 'WITHSCORES', 'LIMIT', over - 1, 1)
    wait = math.max(wait, tonumber(oldest[2]) + window[2] - now)
  end
end
if wait > 0 then return {0, wait, mark, created} end
if step > 0 and granted + math.max(wanted, 1) > ceiling then
  raised = math.max(raised, granted + math.max(wanted, 1) - 1 + step)
  keep()
  return {2, raised, mark, created}
end
if step > 0 then
  granted = granted + wanted
  keep()
end
for i = 1, wanted do redis.call('ZADD', log, text(now), ARGV[1] .. '.' .. i) end
return {1, 0, mark, created}
"""

PAUSE = """
local time = redis.call('TIME')
local till = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', KEYS[2], 'pause') or 0) then
  redis.call('HSET', KEYS[2], 'pause', string.format('%.0f', till))
end
return 1
"""


REPORT, STORE = -1, 2
"""Answers of ASK that are neither yes nor no."""

STEPS = 10
"""A long window's limit is gone up to in so many steps, each on the disk before it is used: a second, with Redis's
`everysec`. So much of it may be unsure after a restart."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`wait_us` 0: granted; `calls` are the names the log knows them by. `asked_ns`: monotonic time of the question."""

    asked_ns: int
    wait_us: int
    calls: tuple[str, ...] = ()


class SharedLog:
    """One provider's log as this process asks it. `made` are the calls it knows of: name and monotonic microseconds."""

    def __init__(
        self, name: str, windows: Sequence[Window], scripts: Scripts, clock: Clock, allow_volatile: bool = False
    ) -> None:
        self._name, self._windows, self._scripts, self._clock = name, tuple(windows), scripts, clock
        self._allow_volatile = allow_volatile
        self._keys = [f"mts:rate:{{{name}}}:log", f"mts:rate:{{{name}}}"]
        self._client = secrets.token_hex(6)
        self._calls = 0
        self._mark = ""
        self._step = max((max(1, window.limit // STEPS) for window in windows if not window.short), default=0)
        self._ceiling = 0
        self._volatile: bool | None = None

    async def ask(self, permits: int, made: Mapping[str, int], unused: Sequence[str] = ()) -> Answer:
        """One question. `made` is reported when the server may not know of it, `unused` are calls not made after all.

        StackError when the server does not answer.
        """
        await self.connect()
        asked_ns = self._clock.monotonic_ns()
        granted, wait_us, _, _ = await self._asked(permits, {}, unused)
        while granted in (REPORT, STORE):
            if granted == STORE:
                await self._stored(wait_us)
            else:  # the server was started again, or its log is gone
                await self._meet(made)
            asked_ns = self._clock.monotonic_ns()
            granted, wait_us, _, _ = await self._asked(permits, {}, unused)
        if not granted:
            return Answer(asked_ns, max(1, wait_us))
        return Answer(asked_ns, 0, tuple(f"{self._client}:{self._calls}.{one}" for one in range(1, permits + 1)))

    async def connect(self) -> None:
        """Meet the server, if that has not been done. StackError when it does not answer or is no base for limits."""
        if self._volatile is None:
            await self._meet({})

    async def report(self, made: Mapping[str, int]) -> None:
        """Tell of calls that were made while the server did not answer, before anything is granted again."""
        await self._asked(0, made)

    async def pause(self, seconds: float) -> None:
        """Grant nothing to anybody for so long: the provider said so."""
        await self._scripts.run(PAUSE, self._keys, [round(seconds * 1e6)])

    async def _meet(self, made: Mapping[str, int]) -> None:
        """Learn what server this is, tell it of the calls made, and from now on be granted calls by it."""
        volatile = await self._check_server()
        self._ceiling = 0
        code, ceiling, mark, created = await self._asked(0, made, volatile=volatile)
        if (code == STORE or created) and not volatile:
            await self._scripts.wait_until_stored()  # that the log exists must not be lost, or its loss would not show
        self._volatile, self._mark = volatile, mark
        self._ceiling = ceiling if code == STORE else 0

    async def _stored(self, ceiling: int) -> None:
        """Go up to a ceiling once it is on the disk; without a disk, at once."""
        if not self._volatile:
            await self._scripts.wait_until_stored()
        self._ceiling = ceiling

    async def _asked(
        self, permits: int, made: Mapping[str, int], unused: Sequence[str] = (), volatile: bool | None = None
    ) -> tuple[int, int, str, int]:
        self._calls += 1
        now_us = self._clock.monotonic_ns() // 1_000
        numbers = [number for window in self._windows for number in (window.limit, window.length_us)]
        reports = [part for call, at_us in made.items() for part in (call, max(0, now_us - at_us))]
        reports += [part for call in unused for part in (call, -1)]
        name = f"{self._client}:{self._calls}"
        server = [int(bool(self._volatile if volatile is None else volatile)), SHORT_US, self._step, self._ceiling]
        given: list[Any] = [name, permits, self._mark, *server, len(self._windows)]
        granted, wait_us, mark, created = await self._scripts.run(ASK, self._keys, [*given, *numbers, *reports])
        return int(granted), int(wait_us), mark.decode(), int(created)

    async def _check_server(self) -> bool:
        """Whether the server keeps nothing on disk. StackError when that or its eviction is no base for the limits."""
        server = await self._scripts.about()
        policy, volatile = server.get("maxmemory_policy", ""), not server.get("aof_enabled")
        if str(policy).startswith("allkeys"):
            problem = "throws away keys that do not expire when memory is short, and with them what was called"
            raise StackError(f"ratelimit.{self._name}", policy, problem, "set maxmemory-policy volatile-lru")
        if volatile and not self._allow_volatile and any(not window.short for window in self._windows):
            problem = "Redis keeps nothing on disk: a restart would forget the day's calls"
            remedy = "set appendonly yes there, or ratelimits.allow_volatile"
            raise StackError(f"ratelimit.{self._name}", "appendonly no", problem, remedy)
        return volatile
