-- The "json" scenario with Envoy's own Lua filter; what every peer does stands in scenarios.py.
-- Lua has no JSON and Envoy brings none, so here is a parser of RFC 8259. It looks at bytes, because LuaJIT compiles
-- that and interprets patterns. It makes a table of every object and array; NULL keeps a null in its place.

local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local NULL = {}
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local parse_value

local function fail(at)
  error("the body is no JSON: byte " .. at)
end

-- The first place from `at` on that is not white space, and the byte there.
local function token(text, at)
  local code = byte(text, at)
  while code == 32 or code == 10 or code == 13 or code == 9 do
    at = at + 1
    code = byte(text, at)
  end
  return at, code
end

local function utf8(code)
  if code < 0x80 then
    return char(code)
  end
  local last = char(0x80 + code % 64)
  code = math.floor(code / 64)
  if code < 0x20 then
    return char(0xc0 + code) .. last
  end
  last = char(0x80 + code % 64) .. last
  code = math.floor(code / 64)
  if code < 0x10 then
    return char(0xe0 + code) .. last
  end
  return char(0xf0 + math.floor(code / 64), 0x80 + code % 64) .. last
end

-- What stands for the escape at the backslash `at`, and the place behind it.
local function parse_escape(text, at)
  local plain = ESCAPES[sub(text, at + 1, at + 1)]
  if plain then
    return plain, at + 2
  end
  local _, stop, digits = find(text, "^\\u(%x%x%x%x)", at)
  if not stop then
    fail(at)
  end
  local code = tonumber(digits, 16)
  if code >= 0xd800 and code < 0xdc00 then
    local _, low_stop, low = find(text, "^\\u([dD][c-fC-F]%x%x)", stop + 1)
    if low_stop then
      return utf8(0x10000 + (code - 0xd800) * 0x400 + tonumber(low, 16) - 0xdc00), low_stop + 1
    end
  end
  return utf8(code), stop + 1
end

-- The first place from `at` on where a string has a quote, a backslash or what it must not have.
local function string_stop(text, at)
  local code = byte(text, at)
  while code and code >= 32 and code ~= 34 and code ~= 92 do
    at = at + 1
    code = byte(text, at)
  end
  return at, code
end

-- The place behind the digits at `at`, of which there must be one, and the byte there.
local function skip_digits(text, at)
  local start, code = at, byte(text, at)
  while code and code >= 48 and code <= 57 do
    at = at + 1
    code = byte(text, at)
  end
  if at == start then
    fail(at)
  end
  return at, code
end

-- Every function below takes the place where its value begins, and returns the value and the place behind it.
local function parse_string(text, at)
  local start = at + 1
  local stop, code = string_stop(text, start)
  if code == 34 then
    return sub(text, start, stop - 1), stop + 1
  end
  local parts, piece = {}, nil
  while code == 92 do
    parts[#parts + 1] = sub(text, start, stop - 1)
    piece, start = parse_escape(text, stop)
    parts[#parts + 1] = piece
    stop, code = string_stop(text, start)
  end
  if code ~= 34 then
    fail(stop)
  end
  parts[#parts + 1] = sub(text, start, stop - 1)
  return table.concat(parts), stop + 1
end

local function parse_number(text, at)
  local start, first, code = at, nil, byte(text, at)
  if code == 45 then
    at = at + 1
  end
  first = at
  at, code = skip_digits(text, at)
  if at > first + 1 and byte(text, first) == 48 then
    fail(first)
  end
  if code == 46 then
    at, code = skip_digits(text, at + 1)
  end
  if code == 101 or code == 69 then
    code = byte(text, at + 1)
    at = skip_digits(text, at + ((code == 43 or code == 45) and 2 or 1))
  end
  return tonumber(sub(text, start, at - 1)), at
end

local function parse_object(text, at)
  local object, name, code = {}, nil, nil
  at, code = token(text, at + 1)
  if code == 125 then
    return object, at + 1
  end
  while true do
    if code ~= 34 then
      fail(at)
    end
    name, at = parse_string(text, at)
    at, code = token(text, at)
    if code ~= 58 then
      fail(at)
    end
    object[name], at = parse_value(text, at + 1)
    at, code = token(text, at)
    if code == 125 then
      return object, at + 1
    elseif code ~= 44 then
      fail(at)
    end
    at, code = token(text, at + 1)
  end
end

local function parse_array(text, at)
  local array, count, code = {}, 0, nil
  at, code = token(text, at + 1)
  if code == 93 then
    return array, at + 1
  end
  while true do
    count = count + 1
    array[count], at = parse_value(text, at)
    at, code = token(text, at)
    if code == 93 then
      return array, at + 1
    elseif code ~= 44 then
      fail(at)
    end
    at = at + 1
  end
end

local function parse_word(word, value)
  return function(text, at)
    if sub(text, at, at + #word - 1) ~= word then
      fail(at)
    end
    return value, at + #word
  end
end

local PARSERS = {
  [byte("{")] = parse_object,
  [byte("[")] = parse_array,
  [byte('"')] = parse_string,
  [byte("t")] = parse_word("true", true),
  [byte("f")] = parse_word("false", false),
  [byte("n")] = parse_word("null", NULL),
}

function parse_value(text, at)
  local code
  at, code = token(text, at)
  return (PARSERS[code] or parse_number)(text, at)
end

local function parse(text)
  local value, at = parse_value(text, 1)
  if token(text, at) <= #text then
    fail(at)
  end
  return value
end

local NAMES = {
  ":method", ":path", "content-type", "accept", "accept-language",
  "authorization", "cookie", "user-agent", "x-tenant", "x-trace",
}

-- The two callbacks share no variable of one stream; its metadata is the usual way from one to the other.
function envoy_on_request(handle)
  local headers, read = handle:headers(), 0
  for _, name in ipairs(NAMES) do
    read = read + #headers:get(name)
  end
  local body = handle:body()
  handle:logDebug("request body")
  local order = parse(body:getBytes(0, body:length())).id
  handle:streamInfo():dynamicMetadata():set("bench", "order", { read = tostring(read), id = order })
end

function envoy_on_response(handle)
  local headers, order = handle:headers(), handle:streamInfo():dynamicMetadata():get("bench").order
  headers:add("x-wasm-custom", "FOO")
  headers:add("x-wasm-read", order.read)
  headers:add("x-wasm-order", order.id)
end
