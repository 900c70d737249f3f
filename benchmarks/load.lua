-- What wrk sends and how it reports. Arguments: `paths FILE` gets each line of FILE in turn, `bodies FILE` posts each;
-- none: the URL of the command line again and again.
function init(args)
  local kind, name = args[1], args[2]
  if not kind then return end
  local requests, turn = {}, 0
  for line in io.lines(name) do
    if kind == "paths" then
      requests[#requests + 1] = wrk.format("GET", line)
    else
      requests[#requests + 1] = wrk.format("POST", nil, nil, line)
    end
  end
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"statuses":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
