-- What wrk sends, and what it tells at its end: arguments are the file of the request, and the first number.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  statuses = {}
  local file = io.open(arguments[1], "rb")
  text = file:read("*a")
  file:close()
  number = tonumber(arguments[2])
  first, last = text:find("##########", 1, true)
  if first then
    before, after = text:sub(1, first - 1), text:sub(last + 1)
  end
end

function request()
  if not first then
    return text
  end
  number = number + 1
  return before .. string.format("%010d", number) .. after
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency)
  local errors = summary.errors
  local found = {
    calls = summary.requests, seconds = summary.duration / 1e6, bytes = summary.bytes,
    middle = latency:percentile(50) / 1e6, slowest = latency:percentile(99) / 1e6,
    broken = errors.connect + errors.read + errors.write + errors.timeout,
  }
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      found["status " .. status] = count
    end
  end
  for name, value in pairs(found) do
    print("found " .. name .. " = " .. value)
  end
end
