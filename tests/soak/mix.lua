-- Seven requests with headers only, two with a JSON body of 4 KiB, one that the filter answers itself, at a fixed rate.
-- wrk -s mix.lua … -- RATE     requests per second of this thread; 0: as fast as it goes
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } soak_time;
  int clock_gettime(int clock, soak_time *time);
]]
local CLOCK_MONOTONIC = 1
local MOST_BEHIND = 1 -- second that is made up for after a pause

local time = ffi.new("soak_time")
local kinds, number = {}, 0

local function now()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

local function json_of_4_kib()
  local items = {}
  for index = 1, 64 do
    items[index] = string.format('{"number":%6d,"name":"an item of the list","of":[1,2,3,true,null]}', index)
  end
  local text = "[" .. table.concat(items, ",") .. "]"
  return text .. string.rep(" ", 4096 - #text)
end

function init(arguments)
  local headers = wrk.format("GET", "/headers", { ["x-one"] = "1", ["x-two"] = "2", ["user-agent"] = "soak" })
  local json = wrk.format("POST", "/json", { ["content-type"] = "application/json" }, json_of_4_kib())
  local reply = wrk.format("GET", "/reply")
  kinds = { headers, headers, json, headers, headers, reply, headers, json, headers, headers }
  local rate = tonumber(arguments[1])
  if rate > 0 then
    local due = now()
    function delay()
      due = math.max(due + 1 / rate, now() - MOST_BEHIND)
      return math.max(0, (due - now()) * 1000)
    end
  end
end

function request()
  number = number % #kinds + 1
  return kinds[number]
end
