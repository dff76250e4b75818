#!lua
-- One exchange with one remote's limiter: settle what has ended, grant up to `want` permits. The twin in local.py is the
-- same walk in Python and explains it; the contract suite holds both together. Redis 7 or Valkey. It is long because it is
-- one atomic step.
--
-- KEYS  state    what is remembered, as JSON that a person can read
--       flight   sorted set: permit -> when it counts as settled if nobody settles it
--       counted  hash: "<window>:<slot>" -> permits settled in that slot
-- ARGV  the request as JSON (shared.py); the policy's constants travel in it as `rules`
--
-- All times are whole milliseconds of this server's clock.

local STATE, FLIGHT, COUNTED = KEYS[1], KEYS[2], KEYS[3]
local request = cjson.decode(ARGV[1])
local rules = request.rules

local function server_clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A server that restarted from a snapshot, or a replica that took over, may have forgotten the newest grants: what was
-- written on another server is not trusted. Where INFO is not permitted this protection is lost, and only this one.
local function server_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end

-- `..` and tostring keep 14 digits and then write an exponent; a time in milliseconds has 13.
local function digits(number)
  return string.format('%.0f', number)
end

local now = server_clock()
local server = server_id()
for _, limit in ipairs(request.limits) do
  limit.name = digits(limit.window)
end

-- Slots: a window remembers settlements in slots of window / SLOTS, each counted in the next slot.

local function slot_ms(window)
  return math.max(1, math.ceil(window.ms / rules.slots))
end

local function leaves_at(window, slot)
  return slot * slot_ms(window) + window.ms
end

local function field(window, slot)
  return digits(window.ms) .. ':' .. digits(slot)
end

local function count(window, at, permits)
  local slot = math.floor(at / slot_ms(window)) + 1
  if slot > window.out and permits > 0 then
    redis.call('HINCRBY', COUNTED, field(window, slot), permits)
    window.used = window.used + permits
    window.newest = math.max(window.newest, slot)
  end
end

local function fields_between(window, first, last)
  local fields = {}
  for slot = first, last do
    fields[#fields + 1] = field(window, slot)
  end
  return fields
end

local function forget_slots(window, last)
  local fields = fields_between(window, window.out + 1, math.min(last, window.newest))
  if #fields == 0 then return end
  for _, permits in ipairs(redis.call('HMGET', COUNTED, unpack(fields))) do
    window.used = window.used - (permits or 0)
  end
  redis.call('HDEL', COUNTED, unpack(fields))
end

local function slide(window)
  local out = math.floor((now - window.ms) / slot_ms(window))
  if out <= window.out then return end
  forget_slots(window, out)
  window.out = out
  if out >= window.newest then window.used = 0 end -- also where the hash has expired
end

local function new_window(ms)
  local window = {ms = ms, used = 0, named = now}
  window.out = math.floor((now - ms) / slot_ms(window))
  window.newest = window.out
  return window
end

-- Memory

local function load_state()
  local text = redis.call('GET', STATE)
  local state = text and cjson.decode(text)
  if not state or state.server ~= server or now < state.at - rules.clock_step then return nil, state end
  now = math.max(now, state.at)
  return state, state
end

-- What is not known is taken at its worst. A permit of before is void `use_within` after its grant: what it sent counts
-- from then, so that a whole window lies between the last old request and the first new one.
local function warm_window(state, limit)
  local window = new_window(limit.window)
  local permits = limit.window > rules.short_window and request.seed[limit.name] or limit.limit
  count(window, now + rules.use_within, permits)
  if permits >= limit.limit then
    state.cold_until = math.max(state.cold_until, leaves_at(window, window.newest))
  end
  state.windows[limit.name] = window
end

local function new_state(forgotten)
  local left = forgotten and forgotten.cooldown_until - math.max(now, forgotten.at) or 0
  left = math.max(left, request.cooldown)
  local cooldown = left > 0 and now + left or 0
  redis.call('DEL', FLIGHT, COUNTED)
  return {
    server = server, epoch = digits(now), exchanges = 0, windows = {}, waiting = {}, cold_until = now,
    tokens = 0, tokens_at = math.max(now, cooldown), cooldown_until = cooldown,
    factor = 1, factor_at = now, cut_at = 0, answers = 0, throttled = 0, strain_at = now,
  }
end

local function is_cold(state)
  if not state then return true end
  for _, limit in ipairs(request.limits) do
    if not state.windows[limit.name] then return true end
  end
  return false
end

-- A window that no policy names any more is forgotten one window later.
local function drop_unnamed(state)
  for _, limit in ipairs(request.limits) do
    state.windows[limit.name].named = now
  end
  for name, window in pairs(state.windows) do
    if window.named + window.ms + rules.forget_after < now then
      forget_slots(window, window.newest)
      state.windows[name] = nil
    end
  end
end

-- Settling

local function count_everywhere(state, at, permits)
  for _, window in pairs(state.windows) do
    count(window, at, permits)
  end
end

local function expire_permits(state)
  local expired = redis.call('ZRANGEBYSCORE', FLIGHT, '-inf', now, 'WITHSCORES')
  for i = 1, #expired, 2 do
    redis.call('ZREM', FLIGHT, expired[i])
    count_everywhere(state, tonumber(expired[i + 1]), 1)
  end
end

local function burst(state)
  return math.max(1, math.floor(request.limits[1].limit * state.factor * rules.burst_share))
end

local function pace(state)
  return request.limits[1].limit / request.limits[1].window * state.factor
end

-- Just short of one more than the burst: an asker that comes a moment late loses nothing, and never gets more at once.
local function add_tokens(state, tokens)
  state.tokens = math.min(burst(state) + 0.999, state.tokens + tokens)
end

local function refill(state)
  if now > state.tokens_at then
    add_tokens(state, (now - state.tokens_at) * pace(state))
    state.tokens_at = now
  end
end

local function recover(state)
  if now > state.factor_at then
    state.factor = math.min(1, state.factor + (now - state.factor_at) * rules.recovery)
    state.factor_at = now
  end
  local fade = math.exp((state.strain_at - now) / rules.strain_memory)
  state.answers, state.throttled, state.strain_at = state.answers * fade, state.throttled * fade, now
end

local function cool_down(state, till)
  state.cooldown_until = math.max(state.cooldown_until, till)
  state.tokens, state.tokens_at = 0, state.cooldown_until
end

local function cut(state, unhinted)
  local sustained = state.throttled >= rules.strain_count and state.throttled > state.answers * rules.strain_share
  if (sustained or unhinted) and now - state.cut_at >= rules.cut_pause then
    state.factor = math.max(rules.rate_floor, state.factor * rules.cut)
    state.cut_at = now
  end
  state.factor_at = math.max(now, state.cooldown_until)
end

-- A permit of another epoch was granted before the memory was lost: it was sent, so it counts.
local function settle(state, settled)
  local foreign = string.match(settled.permit, '^%d+') ~= state.epoch
  if redis.call('ZREM', FLIGHT, settled.permit) == 0 and not foreign then return false end
  if settled.sent then
    count_everywhere(state, now - settled.age, 1)
    state.answers = state.answers + 1
  elseif not foreign and now >= state.cooldown_until then
    add_tokens(state, 1)
  end
  return true
end

local function settle_all(state)
  local throttled, unhinted = false, false
  for _, settled in ipairs(request.settled) do
    local first = settle(state, settled)
    if settled.wait then
      local till = now - settled.age + settled.wait
      if till > now then cool_down(state, till) end
      if first then
        state.throttled = state.throttled + 1
        throttled, unhinted = true, unhinted or settled.unhinted
      end
    end
  end
  if throttled then cut(state, unhinted) end
end

-- Granting

-- When `missing` settled permits will have left the window. Read a few slots at a time: a busy window answers at once.
local function settled_leave_at(window, missing)
  for first = window.out + 1, window.newest, 20 do
    local fields = fields_between(window, first, math.min(first + 19, window.newest))
    for i, permits in ipairs(redis.call('HMGET', COUNTED, unpack(fields))) do
      missing = missing - (permits or 0)
      if missing <= 0 then return leaves_at(window, first + i - 1) end
    end
  end
  return now + window.ms
end

-- A permit under way may have ended at once and be told late: it can leave as soon as a window after its grant.
local function under_way_leaves_at(window)
  local oldest = redis.call('ZRANGE', FLIGHT, 0, 0, 'WITHSCORES')
  if #oldest == 0 then return math.huge end
  return math.max(now + rules.poll, oldest[2] - request.lifetime + window.ms)
end

local function window_bound(state, limit, in_flight)
  local window = state.windows[limit.name]
  local allowed = math.max(1, math.floor(limit.limit * state.factor))
  local room = allowed - window.used - in_flight
  local reserved = request.lane == 'bulk' and limit.window >= rules.reserved_from
  local kept = reserved and math.floor(allowed * request.reserve) or 0
  return {
    why = room > 0 and room <= kept and 'reserved' or 'window', room = room - kept,
    freed_at = function(missing)
      local recovered = state.factor < 1 and now + rules.recovery_look or math.huge
      return math.min(recovered, settled_leave_at(window, missing), under_way_leaves_at(window))
    end,
  }
end

local function bounds(state, in_flight)
  local all = {}
  for i, limit in ipairs(request.limits) do
    all[i] = window_bound(state, limit, in_flight)
  end
  all[#all + 1] = {
    why = 'in_flight', room = request.in_flight - in_flight,
    freed_at = function() return now + rules.poll end,
  }
  local tokens = math.floor(state.tokens)
  all[#all + 1] = {
    why = 'pace', room = tokens,
    freed_at = function(missing) return now + math.ceil((tokens + missing - state.tokens) / pace(state)) end,
  }
  return all
end

local function tightest(all)
  local found = all[1]
  for _, bound in ipairs(all) do
    if bound.room < found.room then found = bound end
  end
  return found
end

-- The earliest time at which asking again brings a group worth having.
local function ask_again_at(state, all, granted, want)
  local group = math.min(want - granted, burst(state), math.max(1, math.floor(pace(state) * rules.group)))
  local wanted = granted + group
  local at = now + rules.group
  for _, bound in ipairs(all) do
    if bound.room < wanted then
      at = math.max(at, bound.freed_at(wanted - bound.room))
    end
  end
  return at
end

local function bulk_must_wait(state)
  for asker, till in pairs(state.waiting) do
    if till <= now then state.waiting[asker] = nil end
  end
  return request.lane == 'bulk' and next(state.waiting) ~= nil
end

local function decide(state, in_flight)
  if request.want == 0 then return 0, 'granted', now end
  if now < state.cooldown_until then return 0, 'cooldown', state.cooldown_until end
  local all = bounds(state, in_flight)
  if bulk_must_wait(state) then
    return 0, 'reserved', math.max(now + rules.poll, ask_again_at(state, all, 0, request.want))
  end
  local bound = tightest(all)
  local granted = math.max(0, math.min(request.want, bound.room))
  if granted == request.want then return granted, 'granted', now end
  local why = bound.why
  if why == 'window' and now < state.cold_until then why = 'cold' end
  return granted, why, ask_again_at(state, all, granted, request.want)
end

local function note_waiting(state, asker, granted, why, retry_at)
  if request.lane ~= 'interactive' or request.want == 0 then return end
  local back_at = why == 'cooldown' and retry_at or math.min(retry_at, now + rules.patience)
  state.waiting[asker] = granted < request.want and back_at + rules.grace or nil
end

local function grant(state, permits, group)
  for i = 1, permits do
    redis.call('ZADD', FLIGHT, now + request.lifetime, group .. '-' .. i)
  end
  state.tokens = state.tokens - permits
end

local function remember(state)
  local longest = 0
  for _, window in pairs(state.windows) do
    longest = math.max(longest, window.ms)
  end
  state.at = now
  redis.call('SET', STATE, cjson.encode(state), 'PX', digits(math.max(rules.state_ttl, 2 * longest)))
  redis.call('PEXPIRE', FLIGHT, digits(math.max(rules.flight_ttl, 2 * request.lifetime)))
  redis.call('PEXPIRE', COUNTED, digits(2 * longest))
end

local function report(state, in_flight)
  local used = {}
  for _, limit in ipairs(request.limits) do
    used[#used + 1] = state.windows[limit.name].used + in_flight
  end
  return {
    used = used, in_flight = in_flight, factor = state.factor, waiting = next(state.waiting) ~= nil,
    cooldown = math.max(0, state.cooldown_until - now),
  }
end

-- The walk

local state, forgotten = load_state()
if is_cold(state) and not request.seed then
  return cjson.encode({why = 'cold'})
end
state = state or new_state(forgotten)
for _, window in pairs(state.windows) do
  slide(window)
end
for _, limit in ipairs(request.limits) do
  if not state.windows[limit.name] then warm_window(state, limit) end
end
drop_unnamed(state)
recover(state)
refill(state)
expire_permits(state)
settle_all(state)

local in_flight = redis.call('ZCARD', FLIGHT)
state.exchanges = state.exchanges + 1
local group = state.epoch .. '-' .. digits(state.exchanges)
local asker = request.asker or group
local granted, why, retry_at = decide(state, in_flight)
note_waiting(state, asker, granted, why, retry_at)
grant(state, granted, group)
remember(state)

local reply = report(state, in_flight + granted)
reply.granted, reply.why, reply.retry_in, reply.group, reply.asker = granted, why, retry_at - now, group, asker
return cjson.encode(reply)
