-- What a session remembers, in Redis: each function here is one step that no other client can come between.
--
-- KEYS[1] is the prefix of all keys. The first four arguments are the epoch of the store (a new one means that the store
-- was emptied), the name of the replica, the generation of its connection (a command that an earlier connection left in a
-- buffer is refused), and the seconds after which a key that nobody uses is removed. The time is always an argument: the
-- emulator's clock may be a frozen one. Numbers with a fraction travel as texts, because Redis cuts them off.

local prefix, lifetime
local functions = {}

local function key(name)
  return prefix .. name
end

local function of(session, name)
  return prefix .. 's:' .. session .. ':' .. name
end

-- The keys of a session, and those of the store itself.
local OWN = {'meta', 'calls', 'ended', 'weights', 'counts', 'values', 'value_weights', 'tasks', 'task_order'}
local COMMON = {
  'store', 'sessions', 'filled', 'operated', 'weights', 'value_weights', 'kept', 'clocks', 'clock_order', 'valued',
  'events', 'replicas', 'unsure', 'settled', 'files:upload', 'files:picture', 'sizes:upload', 'sizes:picture',
}

local function text(number)
  return string.format('%.17g', number)
end

-- Let a key that was made just now end with its session.
local function limit_life(name)
  redis.call('EXPIRE', name, lifetime, 'NX')
end

local function count_on(name)
  local number = redis.call('HINCRBY', key('store'), name, 1)
  limit_life(key('store'))
  return number
end

local function add_bytes(session, more)
  redis.call('HINCRBY', key('store'), 'bytes', more)
  redis.call('HINCRBY', key('weights'), session, more)
  limit_life(key('weights'))
end

local function drop_session(session)
  local weight = tonumber(redis.call('HGET', key('weights'), session) or 0)
  local value_weight = tonumber(redis.call('HGET', key('value_weights'), session) or 0)
  local kept = tonumber(redis.call('HGET', key('kept'), session) or 0)
  redis.call('HINCRBY', key('store'), 'bytes', 0 - weight)
  redis.call('HINCRBY', key('store'), 'value_bytes', 0 - value_weight)
  redis.call('HINCRBY', key('store'), 'calls', 0 - kept)
  for _, name in ipairs({'weights', 'value_weights', 'kept'}) do
    redis.call('HDEL', key(name), session)
  end
  for _, name in ipairs({'sessions', 'filled', 'operated'}) do
    redis.call('ZREM', key(name), session)
  end
  redis.call('SREM', key('valued'), session)
  for _, name in ipairs(OWN) do
    redis.call('DEL', of(session, name))
  end
end

local function is_known(session)
  if redis.call('EXISTS', of(session, 'meta')) == 1 then
    return true
  end
  if redis.call('ZSCORE', key('sessions'), session) then -- its keys have ended: nobody has used it for so long
    drop_session(session)
  end
  return false
end

local function get_moved(session)
  local moved = redis.call('HMGET', key('clocks'), '', session)
  return tonumber(moved[1] or 0) + tonumber(moved[2] or 0)
end

-- Remove the sessions that are unused for too long, and of the others the longest unused ones above `most`.
local function expire_sessions(now, most, age)
  while true do
    local oldest = redis.call('ZRANGE', key('sessions'), 0, 0)[1]
    if not oldest then
      return
    end
    local used = tonumber(redis.call('HGET', of(oldest, 'meta'), 'used') or nil)
    if used and redis.call('ZCARD', key('sessions')) <= most and used >= now - age then
      return
    end
    drop_session(oldest)
  end
end

local function open_session(session, now, most, age)
  local is_new = not is_known(session)
  if is_new then
    expire_sessions(now, most - 1, age)
  end
  local place = count_on('order')
  redis.call('ZADD', key('sessions'), place, session)
  redis.call('ZADD', key('filled'), 'XX', place, session)
  if is_new then
    local began = text(now + get_moved(session))
    redis.call('HSET', of(session, 'meta'), 'used', text(now), 'began', began, 'used_at', began, 'era', place)
    limit_life(of(session, 'meta'))
    limit_life(key('sessions'))
  end
end

local function note_filled(session)
  local place = redis.call('ZSCORE', key('sessions'), session)
  redis.call('ZADD', key('filled'), place, session)
  limit_life(key('filled'))
end

local function note_emptied(session)
  if redis.call('EXISTS', of(session, 'ended'), of(session, 'task_order')) == 0 then
    redis.call('ZREM', key('filled'), session)
  end
end

local function drop_weight(session, name)
  local weight = tonumber(redis.call('HGET', of(session, 'weights'), name) or 0)
  redis.call('HDEL', of(session, 'weights'), name)
  add_bytes(session, 0 - weight)
end

local function drop_oldest_call(session)
  local number = redis.call('LPOP', of(session, 'ended'))
  redis.call('HDEL', of(session, 'calls'), number)
  drop_weight(session, 'c' .. number)
  redis.call('HINCRBY', of(session, 'meta'), 'dropped', 1)
  redis.call('HINCRBY', key('kept'), session, -1)
  redis.call('HINCRBY', key('store'), 'calls', -1)
  note_emptied(session)
end

local function drop_oldest_task(session)
  local id = redis.call('LPOP', of(session, 'task_order'))
  redis.call('HDEL', of(session, 'tasks'), id)
  drop_weight(session, 't' .. id)
  note_emptied(session)
end

-- Drop calls and tasks until there are not too many bytes: the oldest of the longest unused session first.
local function make_room(most)
  while tonumber(redis.call('HGET', key('store'), 'bytes') or 0) > most do
    local session = redis.call('ZRANGE', key('filled'), 0, 0)[1]
    if not session then
      return
    end
    if redis.call('EXISTS', of(session, 'meta')) == 0 then
      drop_session(session)
    elseif redis.call('LLEN', of(session, 'ended')) > 0 then
      drop_oldest_call(session)
    else
      drop_oldest_task(session)
    end
  end
end

local function tell_event(...)
  redis.call('XADD', key('events'), 'MAXLEN', '~', 4096, '*', ...)
  limit_life(key('events'))
end

-- After the store came back empty, a session may be unsure until it is played again or reset.
local function settle(session)
  if redis.call('HGET', key('store'), 'after_loss') then
    redis.call('SREM', key('unsure'), session)
    redis.call('SADD', key('settled'), session)
    limit_life(key('settled'))
  end
end

-- Let the keys of the store live on, once a quarter of their life is over.
local function prolong_store()
  if redis.call('TTL', key('store')) < lifetime * 0.75 then
    for _, name in ipairs(COMMON) do
      redis.call('EXPIRE', key(name), lifetime)
    end
  end
end

-- The same for the keys of a session, which is used.
local function prolong(session)
  if redis.call('TTL', of(session, 'meta')) < lifetime * 0.75 then
    for _, name in ipairs(OWN) do
      redis.call('EXPIRE', of(session, name), lifetime)
    end
  end
  prolong_store()
end

-- Begin a generation of a replica's connection: its encoder, seconds until the replica counts as gone, a new epoch,
-- the epoch that it knew, the sessions that it knew to be scripted. Return epoch, generation, and another's encoder.
function functions.join(args, epoch, replica)
  local encoder, seconds, new, known = args[1], tonumber(args[2]), args[3], args[4]
  for _, other in ipairs(redis.call('SMEMBERS', key('replicas'))) do
    local its = redis.call('HGET', key('replica:' .. other), 'encoder')
    if not its then
      redis.call('SREM', key('replicas'), other)
    elseif other ~= replica and its ~= encoder then
      return {'', 0, its}
    end
  end
  if redis.call('HSETNX', key('store'), 'epoch', new) == 1 and known ~= '' then
    redis.call('HSET', key('store'), 'after_loss', 1)
  end
  limit_life(key('store'))
  epoch = redis.call('HGET', key('store'), 'epoch')
  if known ~= '' and known ~= epoch then
    for number = 5, #args do
      if redis.call('SISMEMBER', key('settled'), args[number]) == 0 then
        redis.call('SADD', key('unsure'), args[number])
      end
    end
    limit_life(key('unsure'))
  end
  redis.call('SADD', key('replicas'), replica)
  limit_life(key('replicas'))
  local own = key('replica:' .. replica)
  redis.call('HSET', own, 'encoder', encoder)
  local generation = redis.call('HINCRBY', own, 'generation', 1)
  redis.call('EXPIRE', own, seconds)
  return {epoch, generation, ''}
end

-- Say that the replica is there; return how often values of sessions have been set.
function functions.beat(args, _, replica)
  redis.call('EXPIRE', key('replica:' .. replica), tonumber(args[1]))
  prolong_store()
  return tonumber(redis.call('HGET', key('store'), 'changes') or 0)
end

function functions.leave(_, _, replica)
  redis.call('SREM', key('replicas'), replica)
  redis.call('DEL', key('replica:' .. replica), key('begun:' .. replica))
end

-- Number `more` further calls; return the last number, and what the caller must know of the session. With a `token` the
-- number is noted for `begun`, because the answer may be lost.
function functions.begin(args, _, replica)
  local token = args[6]
  local session, now, most, age, more = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4]), args[5]
  expire_sessions(now, most, age)
  open_session(session, now, most, age)
  local meta = of(session, 'meta')
  local number = redis.call('HINCRBY', meta, 'numbered', more)
  local moved = redis.call('HMGET', key('clocks'), '', session)
  local used_at = text(now + tonumber(moved[1] or 0) + tonumber(moved[2] or 0))
  redis.call('HSET', meta, 'used', text(now), 'used_at', used_at)
  prolong(session)
  local known = redis.call('HMGET', meta, 'era', 'version')
  if token then
    redis.call('LPUSH', key('begun:' .. replica), token .. ' ' .. number .. ' ' .. known[1])
    redis.call('LTRIM', key('begun:' .. replica), 0, 999) -- more are never under way together
    limit_life(key('begun:' .. replica))
  end
  local changes = tonumber(redis.call('HGET', key('store'), 'changes') or 0)
  return {
    number, known[1], tonumber(known[2] or 0), redis.call('HLEN', of(session, 'values')), moved[1] or '0',
    moved[2] or '0', redis.call('SISMEMBER', key('unsure'), session), changes,
  }
end

-- The calls that were numbered last for this replica: token, number and era of each.
function functions.begun(_, _, replica)
  return redis.call('LRANGE', key('begun:' .. replica), 0, -1)
end

function functions.note(args)
  local session = args[1]
  if is_known(session) then
    redis.call('ZADD', key('operated'), count_on('operations'), session)
    limit_life(key('operated'))
  end
end

function functions.latest()
  for _, name in ipairs({'operated', 'sessions'}) do
    while true do
      local session = redis.call('ZREVRANGE', key(name), 0, 0)[1]
      if not session or is_known(session) then
        if session then
          return session
        end
        break
      end
    end
  end
  return false
end

-- Keep a call that has ended; the same number again replaces what was kept. A call of another era than the session's
-- began before a reset, and is not kept; `era` is empty where that is not known.
function functions.finish(args)
  local session, number, era, weight, entry = args[1], args[2], args[3], tonumber(args[4]), args[5]
  local most_calls, most_bytes = tonumber(args[6]), tonumber(args[7])
  if not is_known(session) or (era ~= '' and era ~= redis.call('HGET', of(session, 'meta'), 'era')) then
    return 0
  end
  local earlier = redis.call('HGET', of(session, 'weights'), 'c' .. number)
  redis.call('HSET', of(session, 'calls'), number, entry)
  redis.call('HSET', of(session, 'weights'), 'c' .. number, weight)
  add_bytes(session, weight - tonumber(earlier or 0))
  if not earlier then
    redis.call('RPUSH', of(session, 'ended'), number)
    redis.call('HINCRBY', key('kept'), session, 1)
    redis.call('HINCRBY', key('store'), 'calls', 1)
    note_filled(session)
    tell_event('session', session, 'number', number)
    for _, name in ipairs({'calls', 'weights', 'ended'}) do
      limit_life(of(session, name))
    end
    limit_life(key('kept'))
    if redis.call('LLEN', of(session, 'ended')) > most_calls then
      drop_oldest_call(session)
    end
  end
  make_room(most_bytes)
  return 1
end

-- Count calls that were answered and could not be kept.
function functions.miss(args)
  local session, more = args[1], args[2]
  if is_known(session) then
    redis.call('HINCRBY', of(session, 'meta'), 'dropped', more)
  end
end

function functions.calls(args)
  local session = args[1]
  if not is_known(session) then
    return false
  end
  local numbers = redis.call('LRANGE', of(session, 'ended'), 0, -1)
  local entries = {}
  for first = 1, #numbers, 1000 do
    local last = math.min(first + 999, #numbers)
    for _, entry in ipairs(redis.call('HMGET', of(session, 'calls'), unpack(numbers, first, last))) do
      entries[#entries + 1] = entry
    end
  end
  return entries
end

function functions.call(args)
  return redis.call('HGET', of(args[1], 'calls'), args[2])
end

function functions.turn(args)
  local session, what, more = args[1], args[2], tonumber(args[3])
  if not is_known(session) then -- dropped while its call was under way
    return more
  end
  local number = redis.call('HINCRBY', of(session, 'counts'), what, more)
  limit_life(of(session, 'counts'))
  return number
end

-- Count several shares, each of what, amount, most, and whether it stays where a later one is too much: all, or none.
-- Return the number of the share that is too much and how much was counted before it; nothing where all are counted.
function functions.spend(args)
  local session = args[1]
  local counts, is_kept = of(session, 'counts'), is_known(session)
  for share = 2, #args, 4 do
    local what, amount, most = args[share], tonumber(args[share + 1]), tonumber(args[share + 2])
    local used = tonumber(is_kept and redis.call('HGET', counts, what) or 0)
    if used + amount > most then
      for earlier = 2, share - 4, 4 do
        if args[earlier + 3] == '0' and is_kept then
          redis.call('HINCRBY', counts, args[earlier], 0 - tonumber(args[earlier + 1]))
        end
      end
      return {(share - 2) / 4, used}
    end
    if is_kept then
      redis.call('HINCRBY', counts, what, amount)
      limit_life(counts)
    end
  end
  return {}
end

function functions.set_value(args)
  local session, name, value, weight = args[1], args[2], args[3], tonumber(args[4])
  local now, most, age, most_bytes = tonumber(args[5]), tonumber(args[6]), tonumber(args[7]), tonumber(args[8])
  open_session(session, now, most, age)
  local weights = of(session, 'value_weights')
  local more = weight - tonumber(redis.call('HGET', weights, name) or 0)
  if value == '' then
    redis.call('HDEL', of(session, 'values'), name)
    redis.call('HDEL', weights, name)
  else
    redis.call('HSET', of(session, 'values'), name, value)
    redis.call('HSET', weights, name, weight)
    limit_life(of(session, 'values'))
    limit_life(weights)
  end
  redis.call('HINCRBY', key('store'), 'value_bytes', more)
  redis.call('HINCRBY', key('value_weights'), session, more)
  limit_life(key('value_weights'))
  local version = redis.call('HINCRBY', of(session, 'meta'), 'version', 1)
  if redis.call('EXISTS', of(session, 'values')) == 1 then
    redis.call('SADD', key('valued'), session)
    limit_life(key('valued'))
  else
    redis.call('SREM', key('valued'), session)
  end
  if args[9] == '1' then
    redis.call('DEL', of(session, 'counts'))
  end
  count_on('changes')
  settle(session)
  prolong(session)
  if tonumber(redis.call('HGET', key('store'), 'value_bytes')) > most_bytes then
    for _, other in ipairs(redis.call('ZRANGE', key('sessions'), 0, -1)) do
      if tonumber(redis.call('HGET', key('store'), 'value_bytes')) <= most_bytes then
        break
      end
      if other ~= session and redis.call('SISMEMBER', key('valued'), other) == 1 then
        drop_session(other)
      end
    end
  end
  return {version, redis.call('HLEN', of(session, 'values'))}
end

function functions.get_values(args)
  local session = args[1]
  local version = tonumber(redis.call('HGET', of(session, 'meta'), 'version') or 0)
  return {version, redis.call('HGETALL', of(session, 'values'))}
end

function functions.valued()
  return redis.call('SMEMBERS', key('valued'))
end

function functions.set_task(args)
  local session, id, value, weight = args[1], args[2], args[3], tonumber(args[4])
  local now, most, age = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  local most_tasks, most_bytes = tonumber(args[8]), tonumber(args[9])
  open_session(session, now, most, age)
  local earlier = redis.call('HGET', of(session, 'weights'), 't' .. id)
  redis.call('HSET', of(session, 'tasks'), id, value)
  redis.call('HSET', of(session, 'weights'), 't' .. id, weight)
  add_bytes(session, weight - tonumber(earlier or 0))
  if not earlier then
    redis.call('RPUSH', of(session, 'task_order'), id)
    note_filled(session)
    for _, name in ipairs({'tasks', 'weights', 'task_order'}) do
      limit_life(of(session, name))
    end
    if redis.call('LLEN', of(session, 'task_order')) > most_tasks then
      drop_oldest_task(session)
    end
  end
  prolong(session)
  make_room(most_bytes)
end

function functions.get_task(args)
  return redis.call('HGET', of(args[1], 'tasks'), args[2])
end

function functions.move_clock(args)
  local session, most = args[1], tonumber(args[3])
  local moved = redis.call('HINCRBYFLOAT', key('clocks'), session, args[2])
  limit_life(key('clocks'))
  if session ~= '' then
    redis.call('ZADD', key('clock_order'), 'NX', count_on('order'), session)
    limit_life(key('clock_order'))
  end
  if redis.call('HLEN', key('clocks')) > most then
    redis.call('HDEL', key('clocks'), redis.call('ZPOPMIN', key('clock_order'))[1])
  end
  return moved
end

function functions.get_clock(args)
  return redis.call('HGET', key('clocks'), args[1]) or '0'
end

function functions.restart(args)
  redis.call('DEL', of(args[1], 'counts'))
end

function functions.reset(args)
  local session = args[1]
  settle(session)
  tell_event('reset', session)
  if not is_known(session) then
    return
  end
  add_bytes(session, 0 - tonumber(redis.call('HGET', key('weights'), session) or 0))
  redis.call('HINCRBY', key('store'), 'calls', 0 - tonumber(redis.call('HGET', key('kept'), session) or 0))
  redis.call('HDEL', key('kept'), session)
  redis.call('ZREM', key('filled'), session)
  for _, name in ipairs({'calls', 'ended', 'weights', 'counts', 'tasks', 'task_order'}) do
    redis.call('DEL', of(session, name))
  end
  redis.call('HDEL', of(session, 'meta'), 'numbered', 'dropped')
  redis.call('HSET', of(session, 'meta'), 'era', count_on('order'))
end

function functions.forget(args)
  local session = args[1]
  settle(session)
  tell_event('reset', session)
  redis.call('HDEL', key('clocks'), session)
  redis.call('ZREM', key('clock_order'), session)
  drop_session(session)
end

-- All that is kept of a session, but for its clock: its head, its calls with their numbers, weights, counts, values,
-- and its tasks with their order.
function functions.read_session(args)
  local session = args[1]
  if not is_known(session) then
    return false
  end
  local meta = redis.call('HMGET', of(session, 'meta'), 'numbered', 'dropped', 'began', 'used_at')
  local reached = redis.call('ZSCORE', key('operated'), session) and 1 or 0
  return {
    {tonumber(meta[1] or 0), tonumber(meta[2] or 0), meta[3], meta[4], reached},
    redis.call('LRANGE', of(session, 'ended'), 0, -1), functions.calls(args),
    redis.call('HGETALL', of(session, 'weights')), redis.call('HGETALL', of(session, 'counts')),
    redis.call('HGETALL', of(session, 'values')), redis.call('LRANGE', of(session, 'task_order'), 0, -1),
    redis.call('HGETALL', of(session, 'tasks')),
  }
end

-- Keep a session as it is given, in the place of what is kept of it; behind the head there are four words for each
-- count, value, task and call.
function functions.write_session(args)
  local session, now, most, age, most_calls, most_bytes = unpack(args, 1, 6)
  settle(session)
  tell_event('reset', session)
  if is_known(session) then
    drop_session(session)
  end
  open_session(session, tonumber(now), tonumber(most), tonumber(age))
  redis.call('HSET', of(session, 'meta'), 'numbered', args[7], 'dropped', args[8], 'began', args[9], 'used_at', args[10])
  if args[11] == '1' then
    functions.note(args)
  end
  for place = 12, #args, 4 do
    local kind, name, value, weight = args[place], args[place + 1], args[place + 2], args[place + 3]
    if kind == 'count' then
      redis.call('HSET', of(session, 'counts'), name, value)
      limit_life(of(session, 'counts'))
    elseif kind == 'value' then
      functions.set_value({session, name, value, weight, now, most, age, most_bytes, '0'})
    elseif kind == 'task' then
      functions.set_task({session, name, value, weight, now, most, age, most_calls, most_bytes})
    else
      functions.finish({session, name, '', weight, value, most_calls, most_bytes})
    end
  end
  count_on('changes')
  prolong(session)
end

function functions.sessions()
  local found = {}
  for _, session in ipairs(redis.call('ZRANGE', key('sessions'), 0, -1)) do
    if is_known(session) then
      local meta = redis.call('HMGET', of(session, 'meta'), 'numbered', 'began', 'used_at', 'dropped')
      local kept = redis.call('LLEN', of(session, 'ended'))
      found[#found + 1] = {session, tonumber(meta[1] or 0), kept, meta[2], meta[3], tonumber(meta[4] or 0)}
    end
  end
  return found
end

function functions.measure()
  local sizes = redis.call('HMGET', key('store'), 'calls', 'bytes')
  return {redis.call('ZCARD', key('sessions')), tonumber(sizes[1] or 0), tonumber(sizes[2] or 0)}
end

local function drop_file(kind, digest)
  local size = tonumber(redis.call('HGET', key('sizes:' .. kind), digest) or 0)
  redis.call('HINCRBY', key('store'), 'bytes:' .. kind, 0 - size)
  redis.call('HDEL', key('sizes:' .. kind), digest)
  redis.call('ZREM', key('files:' .. kind), digest)
  redis.call('DEL', key('file:' .. kind .. ':' .. digest))
end

local function use_file(kind, digest)
  redis.call('ZADD', key('files:' .. kind), count_on('order'), digest)
  redis.call('EXPIRE', key('file:' .. kind .. ':' .. digest), lifetime)
  for _, name in ipairs({'files:', 'sizes:'}) do
    limit_life(key(name .. kind))
  end
end

-- Count a file as used; return whether it is kept.
function functions.touch_file(args)
  local kind, digest = args[1], args[2]
  if redis.call('EXISTS', key('file:' .. kind .. ':' .. digest)) == 0 then
    return 0
  end
  use_file(kind, digest)
  return 1
end

function functions.keep_file(args)
  local kind, digest, most, data = args[1], args[2], tonumber(args[3]), args[4]
  if #data > most then
    return
  end
  drop_file(kind, digest)
  redis.call('SET', key('file:' .. kind .. ':' .. digest), data)
  redis.call('HSET', key('sizes:' .. kind), digest, #data)
  redis.call('HINCRBY', key('store'), 'bytes:' .. kind, #data)
  use_file(kind, digest)
  while tonumber(redis.call('HGET', key('store'), 'bytes:' .. kind)) > most do
    drop_file(kind, redis.call('ZRANGE', key('files:' .. kind), 0, 0)[1])
  end
end

function functions.find_file(args)
  local kind, digest = args[1], args[2]
  local data = redis.call('GET', key('file:' .. kind .. ':' .. digest))
  if data then
    use_file(kind, digest)
  else
    drop_file(kind, digest)
  end
  return data
end

-- Keep a text of this replica for the others, also when it is gone.
function functions.share(args, _, replica)
  redis.call('HSET', key('shared'), replica, args[1])
  redis.call('EXPIRE', key('shared'), lifetime)
end

-- The texts of the other replicas, each with whether that is still there.
function functions.shared(_, _, replica)
  local found, pairs_of = {}, redis.call('HGETALL', key('shared'))
  for place = 1, #pairs_of, 2 do
    if pairs_of[place] ~= replica then
      found[#found + 1] = {pairs_of[place + 1], redis.call('EXISTS', key('replica:' .. pairs_of[place]))}
    end
  end
  return found
end

-- The events behind the one with the id `after`, or all that are kept where it is empty.
function functions.events(args)
  local first = '-'
  if args[1] ~= '' then
    first = '(' .. args[1]
  end
  return redis.call('XRANGE', key('events'), first, '+')
end

local function run(name, keys, args)
  prefix, lifetime = keys[1], tonumber(args[4])
  local epoch, replica, generation = args[1], args[2], args[3]
  if name ~= 'join' then
    if redis.call('HGET', key('store'), 'epoch') ~= epoch then
      return redis.error_reply('EMPTIED the store is another one than before')
    end
    if redis.call('HGET', key('replica:' .. replica), 'generation') ~= generation then
      return redis.error_reply('OUTDATED the command is that of an earlier connection')
    end
  end
  local rest = {}
  for number = 5, #args do
    rest[number - 4] = args[number]
  end
  return functions[name](rest, epoch, replica)
end
