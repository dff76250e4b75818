#!lua
-- Forget one remote's cooldown, and nothing else: all that is counted stays. `forget_cooldown` in local.py is the same in
-- Python. Returns what was left of it, in milliseconds.
--
-- KEYS  state    as acquire.lua keeps it

local text = redis.call('GET', KEYS[1])
if not text then return 0 end

local state = cjson.decode(text)
local time = redis.call('TIME')
local now = math.max(state.at, time[1] * 1000 + math.floor(time[2] / 1000))
local left = math.max(0, state.cooldown_until - now)
if left > 0 then
  state.cooldown_until = 0
  state.waiting = {} -- who was told to come back at its end
  state.tokens_at, state.factor_at = math.min(state.tokens_at, now), math.min(state.factor_at, now)
  redis.call('SET', KEYS[1], cjson.encode(state), 'KEEPTTL')
end
return left
