#!lua name=meterd_1
-- SPDX-License-Identifier: Apache-2.0
-- Every step of the ledger, one function a step, each indivisible in one shard. A step first reads and checks all that could
-- refuse it, then writes: an error half-way would leave increments without their offset. In every name the build puts a digest of this
-- text in the place of the 1: other versions' functions lie beside these, and each program calls its own.
--
-- Keys of a shard (all with the shard's hash tag; g = generation):
--   meta                 init, schema, shards, rules; gen = the generation in force, epoch = when that was decided; g:<g> = what a
--                        generation is (see below);
--                        closed:<g>:<month> = manifest hash, done:<g>:<month>; m:<g>:<month>[:<adjust>] = held in it; looked:<g>;
--                        f:<g>:<month> = a pack's alert is noted there, which may be all that is held of the month
--   g:off                topic/partition -> "next clock last print token"
--   g:use:<month>        account/service -> calls          g:late:<month>:<adjust>  the same, come after the close
--   g:fired:<month>      identity of an alert -> 1; 0: its rung was passed in the month of activation, where it did not hold
--   g:act   account -> "month:bucket ...", from when an account is active
--   g:led                topic/partition/outcome -> records (and .../consumed)
--   g:cut                month/topic/partition -> first offset at or after the close ("first/...": first record at all)
--   g:clk                topic/partition/offset -> record clock before that offset (shard 0)
--   g:frz:<month>        account/service -> fen frozen by that month's settlement
--   g:lk    account -> record clock of the last change up to which its counters were looked at ("Looks" below)
--   g:set:<month>        account -> facts of its statement, account/service -> facts of a line: as settled, never changed;
--                        #rev/account -> its newest revision, #late/account -> what was adjusted with this month,
--                        "#" -> number of accounts settled
--   g:pk                 account -> "<month settled last> <pack>=<calls taken up to and with it> ..."
--   g:out                stream of what Kafka has not acknowledged yet
--
-- A generation is a whole ledger of its own, beside others in the same shard. It is
--   live      in force: what workers, relay and closer work on
--   building  made again from the log; written by whoever makes it, and by the workers once the control topic says so
--   cut       a copy of another one, taken at one moment; never written
--   old       was in force; kept until it is dropped; never written
--   restoring being put back from a checkpoint; written by that alone, and of no use to anybody until it is whole
--
-- Numbers are doubles here: exact below 2^53, which is checked; they are written with %d, never by tostring.

local LIMIT = 9007199254740992
-- What a shard looks like, and which functions may write it: raised with either (then `migrate` knows the way from the one before). These
-- refuse a shard of any other.
local SCHEMA = '4'

local KEYS, ARGV -- of the commit under way

local function text(n)
	return string.format('%d', n)
end

-- Totals are small mostly: their texts are made once, and found again both ways.
local SMALL = 10000
local text_of, number_of = {}, {}

local function total_text(n)
	local t = text_of[n]
	if not t then
		t = text(n)
		if n < SMALL then
			text_of[n], number_of[t] = t, n
		end
	end
	return t
end

-- An init id with a `!` behind it comes from whoever makes a generation: it may write one that is building, and no other.
local function own_id(init)
	return (string.gsub(init, '!$', ''))
end

-- nil when the shard is of this init; otherwise the reply that says why not.
local function foreign_shard(have, init, schema)
	init = own_id(init)
	if not have then
		return { 'LOST', 'the shard holds no state' }
	elseif have ~= init then
		return { 'LOST', 'the shard belongs to another init id: ' .. have }
	elseif schema ~= SCHEMA then
		return { 'SCHEMA', 'the shard has schema ' .. tostring(schema) .. ', not ' .. SCHEMA, schema or '' }
	end
	return nil
end

-- nil when the generation is there to be written; otherwise the reply that says why not.
local function foreign(meta, init, gen)
	local have = redis.call('HMGET', meta, 'init', 'g:' .. gen, 'gen', 'schema')
	local refused = foreign_shard(have[1], init, have[4])
	if refused then
		return refused
	elseif not have[2] and have[3] == gen then
		return { 'LOST', 'the shard holds no generation ' .. gen }
	elseif have[2] == 'restoring' and own_id(init) == init then
		return { 'LOST', 'generation ' .. gen .. ' is being put back from a checkpoint, or was and is not whole' }
	elseif have[2] ~= 'building' and (have[2] ~= 'live' or own_id(init) ~= init) then
		return { 'RETIRED', 'generation ' .. gen .. ' is not in force any more' }
	end
	return nil
end

local function split_position(value)
	return string.match(value, '^(%d+) (%S+) (%S+) (%S+) (%S+)$')
end

-- Which ladder holds: the one of the month of activation, or the other. act: "month:bucket ..." of the account.
local function active_since(act, bucket)
	local since
	for month, of in string.gmatch(act or '', '(%d+):(%d+)') do
		month, of = tonumber(month), tonumber(of)
		if of <= bucket and (not since or month < since) then
			since = month
		end
	end
	return since
end

-- Parses the ladders of a commit: flat list of {n, rules version, contract, cause, cause in ms, n times {at, bound, kind}, ...}; a ladder is a list
-- of rungs.
local function ladders_of(packed)
	local flat, list, i = cmsgpack.unpack(packed), {}, 1
	while flat[i] do
		local n = flat[i]
		local rungs = { version = flat[i + 1], contract = flat[i + 2], cause = flat[i + 3], cause_ms = flat[i + 4] }
		i = i + 5
		for k = 1, n do
			rungs[k] = { at = flat[i], bound = flat[i + 1], kind = flat[i + 2] }
			i = i + 3
		end
		list[#list + 1] = rungs
	end
	return list
end

local function crossed_any(rungs, old, new)
	for i = 1, #rungs do
		local at = rungs[i].at
		if at > new then
			return false
		end
		if at > old then
			return true
		end
	end
	return false
end

-- The call that carried the counter from below `at` to at least `at`; calls is flat {part, offset, time, calls, stamp, id, source, ...}.
local function crossing_call(calls, old, at)
	local total, i = old, 1
	while calls[i] do
		local before = total
		total = total + calls[i + 3]
		if total >= at then
			return i, before, total
		end
		i = i + 7
	end
	return nil
end

-- ARGV of a commit: 1 init, 2 generation, 3 rules version, 4 parts, 5 groups, 6 ladders (msgpack), 7 allowances (msgpack list),
--   8 entries (msgpack list), 9 months of the allowances and looks (msgpack, flat {number, text, index of use key, index of fired key, ...}),
--   10 accounts that had changes, 11 looks, 12 pass of the closer (msgpack, "Looks" below), then
--   a part:  name, token, from, position "next clock last print", msgpack {consumed, outcomes...}, msgpack cuts {field, offset, ...},
--            msgpack marks {field, clock, field to drop, ...}
--   a group: index of its key in KEYS, month text, bucket number (month that closes it, year*12+month-1), index of the fired key (0: late),
--            msgpack fields, msgpack calls of each, ladders of each (4 bytes: ladder, 4 bytes: that of the month of activation, big-endian),
--            msgpack indexes of deltas that may activate their account, msgpack lists {delta index, packed calls, ...}, month text of the bucket
--   an allowance: {rules version, cause, cause in ms, months, packs, rungs}
--            a month: {number, services {id, quota, quota in the month of activation, shared or 0, {pack, its calls as known in the month, ...}},
--                     shared {calls, first}}
--            a pack:  {id, calls};  a rung: {quantity, month, index, at, bound, kind, service in its identity, pack in it, contract, when}
--            when: 0 always, 1 not in the month of activation
--   an entry: {account, allowance, look, {month, service, calls, ...}, packed calls or false}
--   the last: wall time of the read, handed on with alerts
-- KEYS: 1 meta, 2 off, 3 led, 4 out, 5 act, 6 cut, 7 clk, 8 lk, then those of the groups, then use and fired of the months of ARGV 9.
local FIXED = 12
local PIECE = 3000 -- words of one command: Lua's unpack takes 8,000 values at most
local ENTRIES = 128 -- of the outbox at a time: they may be large
local OUTCOMES = { 'counted', 'duplicate', 'late', 'rejected', 'not_billable', 'control' }

local function commit_read_parts(n)
	local parts, stored = {}, nil
	local names = {}
	for p = 1, n do
		local at = FIXED + 1 + (p - 1) * 7
		parts[p] = { name = ARGV[at], token = ARGV[at + 1], from = ARGV[at + 2], to = ARGV[at + 3], counts = ARGV[at + 4],
			cuts = ARGV[at + 5], marks = ARGV[at + 6] }
		names[p] = ARGV[at]
	end
	if n > 0 then
		stored = redis.call('HMGET', KEYS[2], unpack(names))
	end
	for p = 1, n do
		local part = parts[p]
		if not stored[p] then
			return nil, { 'ROLLBACK', part.name .. ': the shard has no offset' }
		end
		local next, _, _, _, token = split_position(stored[p])
		if not next then
			return nil, { 'HALT', part.name .. ': the stored position cannot be read: ' .. stored[p] }
		end
		if token ~= part.token then
			return nil, { 'FOREIGN', part.name .. ': the owner token is another one' }
		end
		if next ~= part.from then
			local kind = tonumber(next) > tonumber(part.from) and 'FOREIGN' or 'ROLLBACK'
			return nil, { kind, part.name .. ': stored offset ' .. next .. ', commit from ' .. part.from }
		end
		local to = tonumber(string.match(part.to, '^%d+'))
		if not to or to <= tonumber(part.from) or to >= LIMIT then
			return nil, { 'HALT', part.name .. ': the commit does not move forward: ' .. part.to }
		end
	end
	return parts, nil
end

local function refused_total(counter, stored, old, more)
	if not old or old >= LIMIT then
		return counter .. ': the counter cannot be read: ' .. stored .. '; look for what else writes to this Redis'
	end
	return counter .. ': ' .. stored .. ' calls and ' .. text(more) .. ' more pass what a counter holds, ' .. text(LIMIT - 1) ..
		'; nothing of the commit was counted: look for a producer that sends wrong `calls`'
end

-- Reads the old totals of a group and computes the new ones.
local function commit_read_group(group)
	local calls, fields, olds, news, find, tonumber = group.delta_calls, group.fields, {}, {}, string.find, tonumber
	for first = 1, group.n, PIECE do
		local have = redis.call('HMGET', group.key, unpack(fields, first, math.min(first + PIECE - 1, group.n)))
		for k = 1, #have do
			local i, old = first + k - 1, 0
			local stored, more = have[k], calls[i]
			if stored then
				old = number_of[stored] or not find(stored, '%D') and tonumber(stored)
			end
			if not old or more < 0 or old >= LIMIT or more >= LIMIT or old + more >= LIMIT then
				return { 'HALT', refused_total(fields[i] .. ', ' .. group.month, stored or '0', old, more) }
			end
			olds[i], news[i] = old, old + more
		end
	end
	group.old, group.new = olds, news
	return nil
end

local function commit_groups(count, at, meta)
	local groups = {}
	for g = 1, count do
		local fields = cmsgpack.unpack(ARGV[at + 4])
		local group = { key = KEYS[tonumber(ARGV[at])], month = ARGV[at + 1], bucket = tonumber(ARGV[at + 2]),
			fired = KEYS[tonumber(ARGV[at + 3])], n = #fields, fields = fields,
			delta_calls = cmsgpack.unpack(ARGV[at + 5]), ladders = ARGV[at + 6], activates = cmsgpack.unpack(ARGV[at + 7]),
			late = ARGV[at + 3] == '0', close = ARGV[at + 9] }
		local lists = cmsgpack.unpack(ARGV[at + 8])
		group.calls = {}
		for i = 1, #lists, 2 do
			group.calls[lists[i]] = lists[i + 1]
		end
		if redis.call('HEXISTS', meta, 'closed:' .. ARGV[2] .. ':' .. group.close) == 1 then
			return nil, { 'HALT', 'month ' .. group.close .. ' is closed in this shard, and the commit counts into it' }
		end
		local refused = commit_read_group(group)
		if refused then
			return nil, refused
		end
		groups[g] = group
		at = at + 10
	end
	return groups, nil
end

-- The fields of a hash, in pieces.
local function read_fields(key, fields)
	local values = {}
	for first = 1, #fields, PIECE do
		for i, value in ipairs(redis.call('HMGET', key, unpack(fields, first, math.min(first + PIECE - 1, #fields)))) do
			values[first + i - 1] = value
		end
	end
	return values
end

-- Which accounts become active, and with which value; shared by all groups of the commit.
local function commit_activations(groups)
	local act, changed, names = {}, {}, {}
	for _, group in ipairs(groups) do
		local fields, active = group.fields, {}
		for k, i in ipairs(group.activates) do
			local account = string.match(fields[i], '^[^/]*')
			active[k] = account
			if not act[account] then
				act[account], names[#names + 1] = '', account
			end
		end
		group.active = active
	end
	for i, value in ipairs(read_fields(KEYS[5], names)) do
		act[names[i]] = value or ''
	end
	for _, group in ipairs(groups) do
		local since = {} -- by value: those of most accounts are the same
		for _, account in ipairs(group.active) do
			local value = act[account]
			if since[value] == nil then
				since[value] = active_since(value, group.bucket) or false
			end
			if not since[value] or since[value] > group.number then
				act[account] = value .. ' ' .. text(group.number) .. ':' .. text(group.bucket)
				changed[account] = act[account]
			end
		end
	end
	return act, changed
end

-- Its ladder, and that of the month of activation; 0: none.
local function ladders_of_delta(group, i)
	local a, b, c, d, e, f, g, h = string.byte(group.ladders, i * 8 - 7, i * 8)
	return ((a * 256 + b) * 256 + c) * 256 + d, ((e * 256 + f) * 256 + g) * 256 + h
end

local function ladder_of(group, i, ladders, act)
	local plain, first = ladders_of_delta(group, i)
	if first == plain then
		return ladders[plain], false
	end
	local old, new = group.old[i], group.new[i]
	if not (crossed_any(ladders[plain] or {}, old, new) or crossed_any(ladders[first] or {}, old, new)) then
		return nil, false
	end
	local account = string.match(group.fields[i], '^[^/]*')
	local value = act[account] or redis.call('HGET', KEYS[5], account)
	if active_since(value, group.bucket) == group.number then
		return ladders[first], true
	end
	return ladders[plain], false
end

local function identity_of(account, service, month, kind, bound, pack)
	return 'alert\n' .. account .. '\n' .. service .. '\n' .. month .. '\n' .. kind .. '\n' .. text(bound) .. '\n' .. pack
end

-- Was it raised, by an earlier step or by this one, which writes only at its end?
local function was_raised(raised, fired, identity)
	return raised[fired .. '\n' .. identity] or redis.call('HEXISTS', fired, identity) == 1
end

-- Facts of an alert; `at` is the place of the crossing call in the flat list `calls`, nil where a change made it due, not a call.
local function alert_of(fired, identity, terms, before, after, first, parts, calls, at)
	local entry = { 't', 'a', 'k', identity, 'v', terms.version, 'e', terms.contract, 'b', text(before), 'a', text(after),
		'f', first and '1' or '0' }
	local function put(name, value)
		entry[#entry + 1] = name
		entry[#entry + 1] = value
	end
	if at then
		put('u', ARGV[#ARGV])
		put('p', parts[calls[at] + 1].name)
		put('o', text(calls[at + 1]))
		put('w', text(calls[at + 2]))
		put('c', text(calls[at + 3]))
		put('s', text(calls[at + 4]))
		put('i', calls[at + 5])
		put('r', calls[at + 6] and ('+' .. calls[at + 6]) or '-')
	else
		put('z', terms.cause)
		put('w', terms.cause_ms)
		put('s', terms.cause_ms)
	end
	return { fired = fired, identity = identity, entry = entry }
end

-- Rungs that do not hold in the month of activation and are passed in it, appended: they are not raised later, where the account turns out
-- to have been active before. A rung is raised by the call that reaches it, or never.
local function passed_rungs(fired, month, account, service, old, new, plain, found)
	for k = 1, #plain do
		if plain[k].at > new then
			break
		end
		if plain[k].at > old then
			local identity = identity_of(account, service, month, plain[k].kind, plain[k].bound, '')
			found.passed[#found.passed + 1] = { fired, identity }
			found.raised[fired .. '\n' .. identity] = true
		end
	end
end

local function add_alert(found, alert)
	found.alerts[#found.alerts + 1] = alert
	found.raised[alert.fired .. '\n' .. alert.identity] = true
	if alert.home then
		found.raised[alert.home[1] .. '\n' .. alert.home[2]] = true
	end
end

-- The alerts of one delta by its ladder, appended to what was found; false when a list is needed and missing, nil when it does not add up.
local function ladder_crossings(group, i, rungs, first, account, service, parts, found)
	local old, new, calls = group.old[i], group.new[i], nil
	for k = 1, #rungs do
		local rung = rungs[k]
		if rung.at > new then
			break
		end
		if rung.at > old then
			local identity = identity_of(account, service, group.month, rung.kind, rung.bound, '')
			if was_raised(found.raised, group.fired, identity) then
				-- it was raised
			elseif not group.calls[i] then
				return false
			else
				calls = calls or cmsgpack.unpack(group.calls[i])
				local c, before, after = crossing_call(calls, old, rung.at)
				if not c then
					return nil
				end
				add_alert(found, alert_of(group.fired, identity, rungs, before, after, first, parts, calls, c))
			end
		end
	end
	return true
end

-- The deltas whose new totals reach the lowest rung of a ladder of theirs: most have none to look at.
local function commit_reaching(group, ladders)
	local news, least, lowest, list = group.new, {}, LIMIT, {}
	least[0] = LIMIT
	for i, rungs in ipairs(ladders) do
		least[i] = rungs[1].at
		lowest = math.min(lowest, least[i])
	end
	for i = 1, group.n do
		local new = news[i]
		if new >= lowest then
			local plain, first = ladders_of_delta(group, i)
			if new >= least[plain] or new >= least[first] then
				list[#list + 1] = i
			end
		end
	end
	return list
end

local function commit_crossings(group, i, ladders, act, parts, found)
	local rungs, first = ladder_of(group, i, ladders, act)
	local old, new, whole = group.old[i], group.new[i], true
	local account, service = string.match(group.fields[i], '^([^/]*)/(.*)$')
	if rungs and crossed_any(rungs, old, new) then
		whole = ladder_crossings(group, i, rungs, first, account, service, parts, found)
	end
	if first then -- behind the alerts: by billable calls both ladders have the same tiers
		passed_rungs(group.fired, group.month, account, service, old, new, ladders[ladders_of_delta(group, i)] or {}, found)
	end
	return whole
end

-- ---- allowances: quotas that services share, and packs. What was taken of them is worked out from the counters each time, month after
-- month, as rating/deduct.c does at settlement; nothing of it is stored, so nothing can drift. No quantity ever falls when calls come.
-- Counted calls alone take here: what late calls take, the bills say. When a month is settled makes no difference to an alert.

-- What stands after the entry's stored totals and what came on top of them: calls, billable calls, sums of shared quotas, use of packs.
local function allowance_use(entry, totals)
	local a = entry.allowance
	local use = { totals = totals, billable = {}, sums = {}, taken = {} }
	for p = 1, #a[5] do
		use.taken[p] = 0
	end
	for m, month in ipairs(a[4]) do
		local billable, sums, shared, quota = {}, {}, {}, entry.first[m] and 3 or 2
		for g, calls in ipairs(month[3]) do
			shared[g], sums[g] = calls[quota - 1], 0
		end
		for s, service in ipairs(month[2]) do
			local rest, g = math.max(0, totals[m][s] - service[quota]), service[4]
			if g > 0 then
				local took = math.min(rest, shared[g])
				sums[g], shared[g], rest = sums[g] + totals[m][s], shared[g] - took, rest - took
			end
			for k = 1, #service[5], 2 do
				local p = service[5][k]
				local took = math.min(rest, math.max(0, service[5][k + 1] - use.taken[p]))
				use.taken[p], rest = use.taken[p] + took, rest - took
			end
			billable[s] = rest
		end
		use.billable[m], use.sums[m] = billable, sums
	end
	return use
end

local function rung_value(entry, rung, use)
	local of, m, i = rung[1], rung[2], rung[3]
	if of == 'pack' then
		return use.taken[i]
	elseif rung[10] == 1 and entry.first[m] then
		return nil
	elseif of == 'calls' then
		return use.totals[m][i]
	elseif of == 'billable' then
		return use.billable[m][i]
	end
	return use.sums[m][i]
end

-- The entry's totals with the first n of its calls on top.
local function allowance_after(entry, n)
	local totals = {}
	for m, of in ipairs(entry.old) do
		totals[m] = {}
		for s, calls in ipairs(of) do
			totals[m][s] = calls
		end
	end
	for k = 1, n * 9, 9 do
		local m, s = entry.calls[k], entry.calls[k + 1]
		totals[m][s] = totals[m][s] + entry.calls[k + 5]
	end
	return allowance_use(entry, totals)
end

local function read_totals(key, fields, totals)
	for i, calls in ipairs(read_fields(key, fields)) do
		totals[i] = calls and tonumber(calls) or 0
	end
end

-- The stored totals of an account that an allowance speaks of; `active`: when the account became active.
local function read_entry(account, allowance, months, active)
	local entry = { account = account, allowance = allowance, old = {}, first = {} }
	for m, month in ipairs(allowance[4]) do
		local fields, totals = {}, {}
		entry.first[m] = active_since(active, month[1]) == month[1]
		for s, service in ipairs(month[2]) do
			fields[s], totals[s] = account .. '/' .. service[1], 0
		end
		read_totals(KEYS[months[month[1]].use], fields, totals)
		entry.old[m] = totals
	end
	return entry
end

local function commit_entries(months, act, allowances)
	local list, entries = {}, cmsgpack.unpack(ARGV[8])
	for e, raw in ipairs(entries) do
		local entry = read_entry(raw[1], allowances[raw[2]], months, act[raw[1]] or redis.call('HGET', KEYS[5], raw[1]))
		entry.look, entry.packed = raw[3] == 1, raw[5]
		local totals = {}
		for m, of in ipairs(entry.old) do
			totals[m] = {}
			for s, calls in ipairs(of) do
				totals[m][s] = calls
			end
		end
		for k = 1, #raw[4], 3 do
			totals[raw[4][k]][raw[4][k + 1]] = totals[raw[4][k]][raw[4][k + 1]] + raw[4][k + 2]
		end
		entry.before, entry.after = allowance_use(entry, entry.old), allowance_use(entry, totals)
		list[e] = entry
	end
	return list
end

-- The least number of calls after which the rung is reached.
local function first_reaching(entry, rung)
	local low, high = 1, #entry.calls / 9
	while low < high do
		local mid = math.floor((low + high) / 2)
		if rung_value(entry, rung, allowance_after(entry, mid)) >= rung[4] then
			high = mid
		else
			low = mid + 1
		end
	end
	return low
end

-- The month's calls of the services that take from the pack in it.
local function calls_under_pack(services, totals, pack)
	local sum = 0
	for s, service in ipairs(services) do
		for k = 1, #service[5], 2 do
			if service[5][k] == pack then
				sum = sum + totals[s]
			end
		end
	end
	return sum
end

-- The services that share a quota in the month, as the account's contracts leave it.
local function sharing(services, shared)
	local ids = {}
	for _, service in ipairs(services) do
		if service[4] == shared then
			ids[#ids + 1] = service[1]
		end
	end
	return table.concat(ids, ' ')
end

-- Facts of an allowance's alert: totals of the service (or the sum) that the rung is about, and what was billable or taken of a pack.
local function allowance_alert(entry, rung, months, parts, place)
	local a, m, i = entry.allowance, rung[2], rung[3]
	local before, after, list, at = entry.before, entry.before, nil, nil
	if place then
		before, after = allowance_after(entry, place - 1), allowance_after(entry, place)
		list, at = entry.calls, (place - 1) * 9 + 3
		if rung[1] == 'pack' then
			m, i = list[at - 2], list[at - 1]
		end
	elseif rung[1] == 'pack' then
		m = rung[2] -- the month that the pack begins in: the same whoever looks, and whenever
	end
	local month = months[a[4][m][1]]
	local function total(use)
		if rung[1] == 'shared' then
			return use.sums[m][i]
		elseif rung[1] == 'pack' and not place then
			return calls_under_pack(a[4][m][2], use.totals[m], rung[3])
		end
		return use.totals[m][i]
	end
	local terms = { version = text(a[1]), contract = rung[9], cause = a[2], cause_ms = text(a[3]) }
	local alert = alert_of(KEYS[month.fired], identity_of(entry.account, rung[7], month.text, rung[6], rung[5], rung[8]), terms,
		total(before), total(after), entry.first[m], parts, list, at)
	local function put(name, value)
		alert.entry[#alert.entry + 1] = name
		alert.entry[#alert.entry + 1] = value
	end
	if rung[1] == 'pack' then
		local home = months[a[4][rung[2]][1]]
		alert.home = { KEYS[home.fired], identity_of(entry.account, rung[7], home.text, rung[6], rung[5], rung[8]), home.text }
		put('x', text(before.taken[rung[3]]))
		put('y', text(after.taken[rung[3]]))
	elseif rung[1] == 'shared' then
		put('m', sharing(a[4][m][2], i))
	else
		put('x', text(before.billable[m][i]))
		put('y', text(after.billable[m][i]))
	end
	return alert
end

-- Was it raised, in whichever month? A pack's rung is reached once in its life; that stands also in the month that the pack begins in,
-- which every allowance with the pack has.
local function rung_fired(entry, rung, months, raised)
	for m, month in ipairs(entry.allowance[4]) do
		if rung[1] == 'pack' or rung[2] == m then
			local at = months[month[1]]
			if was_raised(raised, KEYS[at.fired], identity_of(entry.account, rung[7], at.text, rung[6], rung[5], rung[8])) then
				return true
			end
		end
	end
	return false
end

-- Is a rung that does not hold in the month of activation reached in it? (passed_rungs has why.)
local function first_passed(entry, rung)
	local m = rung[2]
	if rung[10] ~= 1 or not entry.first[m] then
		return false
	end
	local use = entry.after
	return (rung[1] == 'calls' and use.totals[m][rung[3]] or rung[1] == 'shared' and use.sums[m][rung[3]] or 0) >= rung[4]
end

-- The alerts of an entry, appended; false: its list is needed; nil: the list does not add up. Second: calls until the next rung may be
-- reached.
local function entry_crossings(entry, months, parts, found)
	local slack = LIMIT
	for _, rung in ipairs(entry.allowance[6]) do
		local old, new = rung_value(entry, rung, entry.before), rung_value(entry, rung, entry.after)
		if not old and first_passed(entry, rung) then
			local at = months[entry.allowance[4][rung[2]][1]]
			local identity = identity_of(entry.account, rung[7], at.text, rung[6], rung[5], rung[8])
			found.passed[#found.passed + 1] = { KEYS[at.fired], identity }
			found.raised[KEYS[at.fired] .. '\n' .. identity] = true
		elseif not old then
			-- not a matter of this account any more
		elseif new < rung[4] then
			slack = math.min(slack, rung[4] - new)
		elseif (old < rung[4] or entry.look) and not rung_fired(entry, rung, months, found.raised) then
			local place
			if old < rung[4] then
				if not entry.packed then
					return false
				end
				entry.calls = entry.calls or cmsgpack.unpack(entry.packed)
				place = first_reaching(entry, rung)
				if rung_value(entry, rung, allowance_after(entry, place)) < rung[4] then
					return nil
				end
			end
			add_alert(found, allowance_alert(entry, rung, months, parts, place))
		end
	end
	return true, slack
end

local function commit_months()
	local flat, months = cmsgpack.unpack(ARGV[9]), {}
	for k = 1, #flat, 4 do
		months[flat[k]] = { number = flat[k], text = flat[k + 1], use = flat[k + 2], fired = flat[k + 3] }
	end
	return months
end

-- Sets fields of a hash, in pieces; `flat` is {field, value, ...}.
local function write_fields(key, flat)
	for first = 1, #flat, 2 * PIECE do
		redis.call('HSET', key, unpack(flat, first, math.min(first + 2 * PIECE - 1, #flat)))
	end
end

-- ---- Looks: alerts that a change made due, not a call.
--
-- The invariant: whoever counts a call of an account behind a change (of the rules, or of what was said of the account) has looked at
-- all counters of the account before, by what held at each change since the last one that was looked at (lk). So a counter is seen at a
-- change as it stood when the change came, whoever looks, and whenever: the worker with the first call behind it, or the closer where
-- no call comes. lk says of each account which of them was first; the other finds nothing left to do. Where an account's calls lie in several
-- partitions, one of them may be behind a change that the counters were looked at for already: its commit sets lk back, and they are looked at again.
--
-- An account: {account, last change up to the clock of its calls, changes from which on the looks were made or false, {looks, ...}}
-- A look:     {change, {month, {service id, ladder, ladder in the month of activation, ...}, ...}, {allowances}}
-- A pass of the closer: {what `looking` in meta must be or '', what it becomes, change, names of all admitted partitions}: the clocks of
--   all of them have reached the change in this shard, so that no call from before it can come any more. A shard that went back between
--   two commits of a pass holds another `looking`: the pass begins again, or looks would be lost.

local function refused_pass(pass)
	if pass[1] ~= '' and redis.call('HGET', KEYS[1], 'looking:' .. ARGV[2]) ~= pass[1] then
		return { 'ROLLBACK', 'the shard went back while its counters were looked at' }
	end
	for i = 4, #pass do
		local _, clock = split_position(redis.call('HGET', KEYS[2], pass[i]) or '')
		if not clock or clock == '-' or tonumber(clock) < pass[3] then
			return { 'ROLLBACK', pass[i] .. ': the record clock has not reached the change' }
		end
	end
	return nil
end

-- Which accounts are behind, and nobody brought their looks: {index from 0 ':' lk, ...}. Sets of each `stored`, its lk; `since`, the changes
-- that need no look; `skip`, where nothing is to be written.
local function accounts_behind(accounts, pass)
	local behind, names = {}, {}
	for i, account in ipairs(accounts) do
		names[i] = account[1]
	end
	for i, lk in ipairs(read_fields(KEYS[8], names)) do
		local account = accounts[i]
		account.stored = lk and tonumber(lk) or -1
		account.since = account.stored
		if account.since >= account[2] then
			account.skip = pass
		elseif redis.call('HEXISTS', KEYS[5], account[1]) == 0 then
			account.since, account.skip = account[2], pass -- it has no counters
		elseif not pass and (not account[3] or account.since < account[3]) then
			behind[#behind + 1] = text(i - 1) .. ':' .. text(account.since)
		end
	end
	return behind
end

local function look_at_counter(name, month, service, total, ladders, first, found)
	local fired = KEYS[month.fired]
	local rungs = ladders[first and service[3] or service[2]] or {}
	for k = 1, #rungs do
		if rungs[k].at > total then
			break
		end
		local identity = identity_of(name, service[1], month.text, rungs[k].kind, rungs[k].bound, '')
		if not was_raised(found.raised, fired, identity) then
			add_alert(found, alert_of(fired, identity, rungs, total, total, first and service[3] ~= service[2]))
		end
	end
	if first and service[3] ~= service[2] then
		passed_rungs(fired, month.text, name, service[1], -1, total, ladders[service[2]] or {}, found)
	end
end

local function look_at_month(name, month, services, ladders, active, found)
	local fields, totals = {}, {}
	for k = 1, #services, 3 do
		fields[#fields + 1] = name .. '/' .. services[k]
	end
	read_totals(KEYS[month.use], fields, totals)
	for i, total in ipairs(totals) do
		if total > 0 then
			local service = { services[i * 3 - 2], services[i * 3 - 1], services[i * 3] }
			look_at_counter(name, month, service, total, ladders, active_since(active, month.number) == month.number, found)
		end
	end
end

-- Every look of an account behind `since`, in the order of the changes. What was stored before this commit is what is seen.
local function look_at_account(account, looks, months, ladders, allowances, found)
	local name, active = account[1], nil
	for _, l in ipairs(account[4]) do
		local look = looks[l]
		if look[1] > account.since then
			active = active or redis.call('HGET', KEYS[5], name)
			for k = 1, #look[2], 2 do
				look_at_month(name, months[look[2][k]], look[2][k + 1], ladders, active, found)
			end
			for _, a in ipairs(look[3]) do
				local entry = read_entry(name, allowances[a], months, active)
				entry.look = true
				entry.before = allowance_use(entry, entry.old)
				entry.after = entry.before
				entry_crossings(entry, months, nil, found)
			end
		end
	end
end

local function look_write(accounts, pass)
	for _, account in ipairs(accounts) do
		if not account.skip and account.stored ~= account[2] then
			redis.call('HSET', KEYS[8], account[1], text(account[2]))
		end
	end
	if pass then
		redis.call('HSET', KEYS[1], 'looking:' .. ARGV[2], pass[2])
	end
end

local function commit_write_group(group, meta, totals)
	local fields, news, flat, n = group.fields, group.new, {}, #totals
	for i = 1, group.n do
		local total = total_text(news[i])
		totals[n + i] = total
		flat[i * 2 - 1], flat[i * 2] = fields[i], total
	end
	write_fields(group.key, flat)
	redis.call('HSET', meta, 'm:' .. ARGV[2] .. ':' .. group.month .. (group.late and ':' .. group.close or ''), '1')
end

local function commit_write_part(part)
	local counts = cmsgpack.unpack(part.counts)
	redis.call('HINCRBY', KEYS[3], part.name .. '/consumed', text(counts[1]))
	for k = 1, #OUTCOMES do
		if counts[k + 1] ~= 0 then
			redis.call('HINCRBY', KEYS[3], part.name .. '/' .. OUTCOMES[k], text(counts[k + 1]))
		end
	end
	local cuts = cmsgpack.unpack(part.cuts)
	for k = 1, #cuts, 2 do
		redis.call('HSET', KEYS[6], cuts[k], text(cuts[k + 1]))
	end
	local marks = cmsgpack.unpack(part.marks)
	for k = 1, #marks, 3 do
		redis.call('HSET', KEYS[7], marks[k], marks[k + 1])
		redis.call('HDEL', KEYS[7], marks[k + 2])
	end
	redis.call('HSET', KEYS[2], part.name, part.to .. ' ' .. part.token)
end

local function commit(keys, args)
	KEYS, ARGV = keys, args
	local refused = foreign(KEYS[1], ARGV[1], ARGV[2])
	if refused then
		return refused
	end
	local registered = redis.call('HGET', KEYS[1], 'rules')
	if not registered or tonumber(registered) > tonumber(ARGV[3]) then
		return { 'OLDRULES', 'rules version ' .. (registered or 'none') .. ' is registered, the commit was made under ' .. ARGV[3] }
	end
	local n_parts = tonumber(ARGV[4])
	local parts, groups
	parts, refused = commit_read_parts(n_parts)
	if refused then
		return refused
	end
	groups, refused = commit_groups(tonumber(ARGV[5]), FIXED + 1 + n_parts * 7, KEYS[1])
	if refused then
		return refused
	end
	for _, group in ipairs(groups) do
		local year, month = string.match(group.month, '^(%d+)-(%d+)$')
		group.number = tonumber(year) * 12 + tonumber(month) - 1
	end
	local pass, accounts = cmsgpack.unpack(ARGV[12]), cmsgpack.unpack(ARGV[10])
	refused = pass and refused_pass(pass)
	if refused then
		return refused
	end
	local behind = accounts_behind(accounts, pass)
	if #behind > 0 then
		return { 'NEEDLOOK', table.concat(behind, ',') }
	end
	local ladders, missing, base = ladders_of(ARGV[6]), {}, 0
	local months, allowances, looks = commit_months(), cmsgpack.unpack(ARGV[7]), cmsgpack.unpack(ARGV[11])
	local found = { alerts = {}, passed = {}, raised = {} }
	for _, account in ipairs(accounts) do
		if account.since < account[2] then
			look_at_account(account, looks, months, ladders, allowances, found)
		end
	end
	local act, activated = commit_activations(groups)
	local entries = commit_entries(months, act, allowances)
	for _, group in ipairs(groups) do
		for _, i in ipairs(group.late and {} or commit_reaching(group, ladders)) do
			local whole = commit_crossings(group, i, ladders, act, parts, found)
			if whole == nil then
				return { 'HALT', group.fields[i] .. ': the list of calls does not add up to its delta' }
			elseif not whole then
				missing[#missing + 1] = text(base + i - 1)
			end
		end
		base = base + group.n
	end
	local slacks, lacking = {}, {}
	for e, entry in ipairs(entries) do
		local whole, slack = entry_crossings(entry, months, parts, found)
		if whole == nil then
			return { 'HALT', entry.account .. ': the list of calls does not add up to its deltas' }
		elseif not whole then
			lacking[#lacking + 1] = text(e - 1)
		else
			slacks[e] = text(slack)
		end
	end
	if #missing + #lacking > 0 then
		return { 'NEEDLIST', table.concat(missing, ','), table.concat(lacking, ',') }
	end
	-- From here on nothing can refuse.
	local totals = {}
	for _, group in ipairs(groups) do
		commit_write_group(group, KEYS[1], totals)
	end
	for _, rung in ipairs(found.passed) do
		redis.call('HSETNX', rung[1], rung[2], '0')
	end
	for _, alert in ipairs(found.alerts) do
		redis.call('HSET', alert.fired, alert.identity, '1')
		if alert.home then
			redis.call('HSET', alert.home[1], alert.home[2], '1')
			redis.call('HSET', KEYS[1], 'f:' .. ARGV[2] .. ':' .. alert.home[3], '1')
		end
		redis.call('XADD', KEYS[4], '*', unpack(alert.entry))
	end
	local active = {}
	for account, value in pairs(activated) do
		active[#active + 1] = account
		active[#active + 1] = value
	end
	write_fields(KEYS[5], active)
	for _, part in ipairs(parts) do
		commit_write_part(part)
	end
	look_write(accounts, pass)
	return { 'OK', text(#found.alerts), table.concat(totals, ','), table.concat(slacks, ',') }
end

-- KEYS meta; ARGV init, shards, generation. Makes the state once.
local function create(keys, args)
	local have = redis.call('HGET', keys[1], 'init')
	if have and have ~= args[1] then
		return { 'LOST', 'the shard belongs to another init id: ' .. have }
	end
	if not have then
		redis.call('HSET', keys[1], 'init', args[1], 'schema', SCHEMA, 'shards', args[2], 'gen', args[3], 'rules', '0', 'g:' .. args[3], 'live')
	elseif redis.call('HEXISTS', keys[1], 'g:' .. args[3]) == 0 then
		redis.call('HSET', keys[1], 'g:' .. args[3], 'building') -- the shard is older than the decision that put it in force
	end
	return { 'OK' }
end

-- KEYS meta. State as an earlier version of this program left it, in the form of this one. Schema 1 knew one generation; 2 looks like 3, but
-- its functions did not look at the schema; of 3 each document had an entry of its own, as the end of a run has still.
local function migrate(keys, args)
	local schema = redis.call('HGET', keys[1], 'schema')
	if schema == '2' or schema == '3' then
		redis.call('HSET', keys[1], 'schema', SCHEMA)
	end
	if schema ~= '1' then
		return { 'OK' }
	end
	local gen = redis.call('HGET', keys[1], 'gen')
	for _, field in ipairs(redis.call('HKEYS', keys[1])) do
		local kind, rest = string.match(field, '^(%a+):(.*)$')
		if kind == 'closed' or kind == 'done' or kind == 'm' then
			redis.call('HSET', keys[1], kind .. ':' .. gen .. ':' .. rest, redis.call('HGET', keys[1], field))
			redis.call('HDEL', keys[1], field)
		end
	end
	local looked = redis.call('HGET', keys[1], 'looked')
	if looked then
		redis.call('HSET', keys[1], 'looked:' .. gen, looked)
		redis.call('HDEL', keys[1], 'looked')
	end
	redis.call('HSET', keys[1], 'g:' .. gen, 'live', 'schema', SCHEMA)
	return { 'OK' }
end

-- KEYS meta; ARGV init, generation, what `looking` must be, change: all accounts of the shard were looked at up to it.
local function looked(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	if redis.call('HGET', keys[1], 'looking:' .. args[2]) ~= args[3] then
		return { 'RETRY', 'the shard went back while its counters were looked at' }
	end
	redis.call('HSET', keys[1], 'looked:' .. args[2], args[4])
	return { 'OK' }
end

-- KEYS meta; ARGV init, generation, version. A version is registered in every shard before it takes effect.
local function register(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	if tonumber(redis.call('HGET', keys[1], 'rules') or '0') < tonumber(args[3]) then
		redis.call('HSET', keys[1], 'rules', args[3])
	end
	return { 'OK' }
end

-- KEYS meta, off; ARGV init, generation, token, then (name, start position) for each partition.
local function claim(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	local reply = { 'OK' }
	for i = 4, #args, 2 do
		local stored = redis.call('HGET', keys[2], args[i])
		local position = args[i + 1]
		if stored then
			local next, clock, last, print = split_position(stored)
			if not next then
				return { 'HALT', args[i] .. ': the stored position cannot be read: ' .. stored }
			end
			position = next .. ' ' .. clock .. ' ' .. last .. ' ' .. print
		end
		reply[#reply + 1] = position
	end
	for i = 4, #args, 2 do
		redis.call('HSET', keys[2], args[i], reply[2 + (i - 4) / 2] .. ' ' .. args[3])
	end
	return reply
end

-- KEYS meta, off; ARGV init, generation, old token, new token, names. Compare and set on the own token.
local function renew(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	local reply = { 'OK' }
	for i = 5, #args do
		local next, clock, last, print, token = split_position(redis.call('HGET', keys[2], args[i]) or '')
		if token ~= args[3] then
			return { 'FOREIGN', args[i] .. ': the owner token is another one' }
		end
		reply[#reply + 1] = next .. ' ' .. clock .. ' ' .. last .. ' ' .. print
	end
	for i = 5, #args do
		redis.call('HSET', keys[2], args[i], reply[i - 3] .. ' ' .. args[4])
	end
	return reply
end

-- KEYS meta, out; ARGV init, generation, then stream id, identity, number of documents of each entry, in the order of the stream. An entry goes
-- only if all three are so: after a rollback another alert can sit under the id.
local function acknowledge(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	local identities, documents, goes, gone, from = {}, {}, {}, 0, args[3]
	for i = 3, #args, 3 do
		identities[args[i]], documents[args[i]] = args[i + 1], args[i + 2]
	end
	while from do
		local entries = redis.call('XRANGE', keys[2], from, args[#args - 2], 'COUNT', text(ENTRIES)) -- others may lie between
		for _, entry in ipairs(entries) do
			local id, fields, have = entry[1], entry[2], { q = '1' }
			for k = 1, #fields, 2 do
				have[fields[k]] = fields[k + 1]
			end
			if have.k == identities[id] and have.q == documents[id] then
				goes[#goes + 1] = id
			end
		end
		from = #entries == ENTRIES and '(' .. entries[ENTRIES][1]
	end
	for first = 1, #goes, PIECE do
		gone = gone + redis.call('XDEL', keys[2], unpack(goes, first, math.min(first + PIECE - 1, #goes)))
	end
	return { 'OK', text(gone) }
end

-- KEYS meta, off; ARGV init, generation, month, close in ms, manifest hash, month that must be finished before (or empty), names of
-- all admitted partitions.
local function close(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	local closed = redis.call('HGET', keys[1], 'closed:' .. args[2] .. ':' .. args[3])
	if closed then
		if closed ~= args[5] then
			return { 'HALT', 'month ' .. args[3] .. ' is closed under another manifest: ' .. closed }
		end
		return { 'OK' }
	end
	if args[6] ~= '' and redis.call('HEXISTS', keys[1], 'done:' .. args[2] .. ':' .. args[6]) == 0 then
		return { 'RETRY', 'month ' .. args[6] .. ' is not finished in this shard' }
	end
	for i = 7, #args do
		local _, clock = split_position(redis.call('HGET', keys[2], args[i]) or '')
		if not clock or clock == '-' or tonumber(clock) < tonumber(args[4]) then
			return { 'RETRY', args[i] .. ': the record clock has not reached the close' }
		end
	end
	redis.call('HSET', keys[1], 'closed:' .. args[2] .. ':' .. args[3], args[5])
	return { 'OK' }
end

-- What the adjustments of an account were made from must be what the shard holds: nil, or how it is not.
local function revisions_differ(s, keys)
	for _, revision in ipairs(s[6]) do
		for _, adjustment in ipairs(revision[5]) do
			local late = redis.call('HGET', keys[revision[2]], s[1] .. '/' .. adjustment[1]) or '0'
			if adjustment[2] ~= '' and late ~= adjustment[2] then
				return late .. ' late calls, the adjustment says ' .. adjustment[2]
			end
		end
		if (redis.call('HGET', keys[revision[1]], '#rev/' .. s[1]) or '') ~= revision[3] then
			return 'another revision of the month that is adjusted'
		end
	end
	return nil
end

-- The same of all accounts of the step, of which each is read at once: a command costs more than what it asks for.
local function settle_differs(list, keys)
	local fields, lines, names = {}, {}, {}
	for i, s in ipairs(list) do
		names[i] = s[1]
		for _, line in ipairs(s[7]) do
			lines[#lines + 1], fields[#fields + 1] = line, s[1] .. '/' .. line[1]
		end
		local differs = revisions_differ(s, keys)
		if differs then
			return differs
		end
	end
	local calls, frozen, packs = read_fields(keys[2], fields), read_fields(keys[3], fields), read_fields(keys[7], names)
	for i, line in ipairs(lines) do
		if (calls[i] or '0') ~= line[2] or (frozen[i] or '0') ~= line[3] then
			return (calls[i] or '0') .. ' calls and ' .. (frozen[i] or '0') .. ' frozen, the line says ' .. line[2] .. ' and ' .. line[3]
		end
	end
	for i, s in ipairs(list) do
		if (packs[i] or '') ~= s[3] then
			return 'other balances of packs than the lines were made from'
		end
	end
	return nil
end

local function settle_put(flat, field, value)
	flat[#flat + 1] = field
	flat[#flat + 1] = value
end

-- Documents are written at once; what is kept beside them is appended to the lists.
local function settle_write(keys, s, freezes, facts, packs)
	for _, revision in ipairs(s[6]) do
		redis.call('HSET', keys[revision[1]], '#rev/' .. s[1], revision[4])
	end
	if s[5] ~= '' then
		settle_put(facts, '#late/' .. s[1], s[5])
	end
	for _, line in ipairs(s[7]) do
		local field = s[1] .. '/' .. line[1]
		settle_put(facts, field, line[5])
		if line[4] ~= '0' then
			settle_put(freezes, field, line[4])
		end
	end
	if #s[7] > 0 then
		settle_put(facts, s[1], s[8])
	end
	settle_put(packs, s[1], s[4])
	for i = 1, #s[9], 3 do
		redis.call('XADD', keys[6], '*', 't', 'd', 'k', s[9][i], 'n', s[2], 'c', s[1], 'q', s[9][i + 1], 'z', s[9][i + 2])
	end
end

-- Those that are not settled yet.
local function settle_due(list, set)
	local names, due = {}, {}
	for _, s in ipairs(list) do
		settle_put(names, s[1], '#late/' .. s[1])
	end
	local have = read_fields(set, names)
	for i, s in ipairs(list) do
		if not have[2 * i - 1] and not have[2 * i] then
			due[#due + 1] = s
		end
	end
	return due
end

-- KEYS meta, use:m, frz:m-1, frz:m, set:m, out, pk, then set and late of each month that is adjusted; ARGV init, generation, month,
-- msgpack list of accounts
--   {account, not before, packs before, packs, facts of what is adjusted or '', revisions, lines, facts, {identity of the first document, number of
--   documents, all of them packed (bundle.h: an identity and a document each), ...}}: an entry of the outbox for each three
--   a revision: {key of set, key of late, facts before, facts, {{service, calls}, ...}};
--   calls '': a correction, which no late calls stand behind. It rests on the revision before, as all of them do
--   a line: {service, calls, unfreeze, freeze, facts}
-- Each account is one idempotent step: one that is settled is passed over.
local function settle(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	if redis.call('HEXISTS', keys[1], 'closed:' .. args[2] .. ':' .. args[3]) == 0 then
		return { 'RETRY', 'month ' .. args[3] .. ' is not closed in this shard yet' }
	end
	local due = settle_due(cmsgpack.unpack(args[4]), keys[5])
	local differs = settle_differs(due, keys)
	if differs then
		return { 'HALT', 'settling ' .. args[3] .. ': the shard holds ' .. differs }
	end
	local freezes, facts, packs = {}, {}, {}
	for _, s in ipairs(due) do
		settle_write(keys, s, freezes, facts, packs)
	end
	write_fields(keys[4], freezes)
	write_fields(keys[5], facts)
	write_fields(keys[7], packs)
	if #due > 0 then
		redis.call('HINCRBY', keys[5], '#', text(#due))
	end
	return { 'OK', text(#due) }
end

-- Late buckets that are adjusted with the month.
local function late_buckets(meta, gen, month)
	local n = 0
	for _, field in ipairs(redis.call('HKEYS', meta)) do
		local of, adjusted = string.match(field, '^m:(%d+):%d+%-%d+:(.*)$')
		if of == gen and adjusted == month then
			n = n + 1
		end
	end
	return n
end

-- KEYS meta, use:m, frz:m-1, set:m, then late of each month that is adjusted; ARGV init, generation, month, counters, freezes, late,
-- statements: the sums that a whole scan found; 1 where the end of the run must stand before (shard 0).
local function finish(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	-- A shard that went back may hold as little as was seen: it must be closed still, and shard 0 must hold the end of the run.
	if redis.call('HEXISTS', keys[1], 'closed:' .. args[2] .. ':' .. args[3]) == 0 then
		return { 'RETRY', 'month ' .. args[3] .. ' is not closed in this shard yet' }
	end
	if args[8] == '1' and redis.call('HEXISTS', keys[4], '#end') == 0 then
		return { 'RETRY', 'the end of the run of month ' .. args[3] .. ' is not made yet' }
	end
	local late = 0
	for i = 5, #keys do
		late = late + redis.call('HLEN', keys[i])
	end
	local have = text(redis.call('HLEN', keys[2])) .. ' counters, ' .. text(redis.call('HLEN', keys[3])) .. ' freezes, ' ..
		text(late) .. ' late counters in ' .. text(late_buckets(keys[1], args[2], args[3])) .. ' months, ' ..
		(redis.call('HGET', keys[4], '#') or '0') .. ' statements'
	local seen = args[4] .. ' counters, ' .. args[5] .. ' freezes, ' .. args[6] .. ' late counters in ' .. text(#keys - 4) .. ' months, ' ..
		args[7] .. ' statements'
	if have ~= seen then
		return { 'RETRY', 'month ' .. args[3] .. ' is not settled whole: the shard holds ' .. have .. '; seen were ' .. seen }
	end
	redis.call('HSET', keys[1], 'done:' .. args[2] .. ':' .. args[3], '1')
	return { 'OK' }
end

-- KEYS meta, set:m, out; ARGV init, generation, month, identity, document, not before. The end of the run, once.
local function end_run(keys, args)
	local refused = foreign(keys[1], args[1], args[2])
	if refused then
		return refused
	end
	if redis.call('HEXISTS', keys[1], 'closed:' .. args[2] .. ':' .. args[3]) == 0 then
		return { 'RETRY', 'month ' .. args[3] .. ' is not closed in this shard yet' }
	end
	if redis.call('HSETNX', keys[2], '#end', '1') == 1 then
		redis.call('XADD', keys[3], '*', 't', 'd', 'k', args[4], 'n', args[6], 'c', '', 'd', args[5])
	end
	return { 'OK' }
end

-- KEYS req; ARGV request. Drops the first request if it is still this one.
local function request_drop(keys, args)
	if redis.call('LINDEX', keys[1], '0') == args[1] then
		redis.call('LPOP', keys[1])
	end
	return { 'OK' }
end

-- ---- generations

-- KEYS lease; ARGV holder, how long in ms. One at a time makes or compares generations (another one: checkpoints); who holds it comes again in
-- time.
local function lease(keys, args)
	local have = redis.call('GET', keys[1])
	if have and have ~= args[1] then
		return { 'HALT', have }
	end
	redis.call('SET', keys[1], args[1], 'PX', args[2])
	return { 'OK' }
end

-- KEYS meta; ARGV init, generation. Begins one that is made again from the log; idempotent.
local function begin(keys, args)
	local have = redis.call('HMGET', keys[1], 'init', 'g:' .. args[2], 'schema')
	local refused = foreign_shard(have[1], args[1], have[3])
	if refused then
		return refused
	end
	local is = have[2]
	if is == 'cut' then -- it was dropped a moment ago
		return { 'RETRY', 'a copy came back under the number of generation ' .. args[2] .. ': the shard went back to an earlier state' }
	elseif is and is ~= 'building' then
		return { 'HALT', 'generation ' .. args[2] .. ' is ' .. is .. ' already' }
	end
	redis.call('HSET', keys[1], 'g:' .. args[2], 'building')
	return { 'OK' }
end

-- What meta says that a generation holds a month in, as store/generations.c lists it. nil, or a key of it that is not among these: it came to be
-- since they were listed.
local HELD = { m = { 'use', 'fired' }, f = { 'fired' }, closed = { 'set', 'frz' } }
local function key_unlisted(keys, gen)
	local listed, base = {}, string.gsub(keys[1], 'meta$', '') .. 'g' .. gen .. ':'
	for i = 2, #keys, 2 do
		listed[keys[i]] = true
	end
	for _, field in ipairs(redis.call('HKEYS', keys[1])) do
		local kind, of, month, adjusted = string.match(field, '^(%a+):(%d+):(%d+%-%d+)(.*)$')
		local held = of == gen and HELD[kind] or {}
		if of == gen and kind == 'm' and adjusted ~= '' then
			held = { 'late', 'set' }
		end
		for _, what in ipairs(held) do
			local key = base .. what .. ':' .. month .. (what == 'late' and adjusted or '')
			if not listed[key] then
				return key
			end
		end
	end
	return nil
end

-- KEYS meta, then pairs (key of the one, key of its copy); ARGV init, generation, the copy's. All keys of a generation at one moment: a copy
-- without one of them would stand at the same offsets.
local function cut(keys, args)
	local have = redis.call('HMGET', keys[1], 'init', 'g:' .. args[2], 'g:' .. args[3], 'schema')
	local refused = foreign_shard(have[1], args[1], have[4])
	if refused then
		return refused
	elseif not have[2] then
		return { 'LOST', 'the shard holds no generation ' .. args[2] }
	elseif have[2] == 'restoring' then -- half of it: whoever took it for the whole would count what it lacks offsets of again
		return { 'LOST', 'generation ' .. args[2] .. ' is being put back from a checkpoint, or was and is not whole' }
	elseif have[3] and have[3] ~= 'cut' then
		return { 'HALT', 'generation ' .. args[3] .. ' is ' .. have[3] .. ' already' }
	end
	local unlisted = key_unlisted(keys, args[2])
	if unlisted then
		return { 'RETRY', unlisted .. ' came to be since the keys were listed', unlisted }
	end
	for i = 2, #keys, 2 do
		redis.call('DEL', keys[i + 1])
		redis.call('COPY', keys[i], keys[i + 1])
	end
	for _, field in ipairs(redis.call('HKEYS', keys[1])) do
		local kind, gen, rest = string.match(field, '^(%a+):(%d+)(.*)$')
		if gen == args[2] and kind ~= 'g' then
			redis.call('HSET', keys[1], kind .. ':' .. args[3] .. rest, redis.call('HGET', keys[1], field))
		end
	end
	redis.call('HSET', keys[1], 'g:' .. args[3], 'cut')
	return { 'OK' }
end

-- KEYS meta, out of the old one, out of the new one; ARGV init, old generation, new generation, epoch: the offset of the decision in the
-- control topic. The new one is in force from here on: the old one is refused, and what it has not published yet goes to the new one's
-- outbox. Idempotent; a decision that a later one followed is refused.
local function adopt(keys, args)
	local have = redis.call('HMGET', keys[1], 'init', 'g:' .. args[3], 'epoch', 'gen', 'schema')
	local refused = foreign_shard(have[1], args[1], have[5])
	if refused then
		return refused
	end
	local epoch = tonumber(have[3] or '-1')
	if tonumber(args[4]) < epoch then
		return { 'RETRY', 'the control topic has put another generation in force since it was read' }
	elseif not have[2] or have[2] == 'cut' or have[2] == 'restoring' then
		return { 'LOST', 'the shard holds no generation ' .. args[3] .. ', which the control topic says is in force' }
	elseif tonumber(args[4]) == epoch and have[4] == args[3] then
		return { 'OK' }
	end
	for _, field in ipairs(redis.call('HKEYS', keys[1])) do
		local other = string.match(field, '^g:(%d+)$')
		if other and other ~= args[2] and other ~= args[3] and redis.call('HGET', keys[1], field) == 'live' then
			return { 'RETRY', 'generation ' .. other .. ' came into force meanwhile' }
		end
	end
	if args[2] ~= args[3] then
		for _, entry in ipairs(redis.call('XRANGE', keys[2], '-', '+')) do
			local words = entry[2]
			words[#words + 1] = 'g' -- made by a generation that is given up
			words[#words + 1] = args[2]
			redis.call('XADD', keys[3], '*', unpack(words))
		end
		redis.call('DEL', keys[2])
		if redis.call('HEXISTS', keys[1], 'g:' .. args[2]) == 1 then
			redis.call('HSET', keys[1], 'g:' .. args[2], 'old')
		end
	end
	redis.call('HSET', keys[1], 'g:' .. args[3], 'live', 'gen', args[3], 'epoch', args[4])
	return { 'OK' }
end

-- KEYS meta, then all keys of the generation; ARGV init, generation. One in force stays.
local function drop(keys, args)
	local have = redis.call('HMGET', keys[1], 'init', 'g:' .. args[2], 'schema')
	local refused = foreign_shard(have[1], args[1], have[3])
	if refused then
		return refused
	elseif have[2] == 'live' then
		return { 'HALT', 'generation ' .. args[2] .. ' is in force' }
	end
	for i = 2, #keys do
		redis.call('UNLINK', keys[i])
	end
	for _, field in ipairs(redis.call('HKEYS', keys[1])) do
		if string.match(field, '^%a+:(%d+)') == args[2] then
			redis.call('HDEL', keys[1], field)
		end
	end
	return { 'OK' }
end

-- ---- checkpoints: a generation comes back as it was copied

-- KEYS meta; ARGV init, generation, shards. A shard that holds nothing comes to be.
local function restore(keys, args)
	local have = redis.call('HMGET', keys[1], 'init', 'g:' .. args[2], 'schema')
	local refused = have[1] and foreign_shard(have[1], args[1], have[3])
	if refused then
		return refused
	elseif have[2] then
		return { 'HALT', 'generation ' .. args[2] .. ' is ' .. have[2] .. ' already' }
	end
	if not have[1] then
		redis.call('HSET', keys[1], 'init', args[1], 'schema', SCHEMA, 'shards', args[3], 'gen', args[2], 'rules', '0')
	end
	redis.call('HSET', keys[1], 'g:' .. args[2], 'restoring')
	return { 'OK' }
end

-- nil while the generation is being put back.
local function not_restoring(meta, args)
	local have = redis.call('HMGET', meta, 'init', 'g:' .. args[2], 'schema')
	local refused = foreign_shard(have[1], args[1], have[3])
	if refused or have[2] == 'restoring' then
		return refused
	elseif not have[2] or have[2] == 'cut' then
		return { 'RETRY', 'generation ' .. args[2] .. ' is not being put back any more: the shard went back to an earlier state' }
	end
	return { 'LOST', 'generation ' .. args[2] .. ' is not being put back any more' }
end

-- KEYS meta, a key of the generation (meta itself: what is said there of it); ARGV init, generation, fields and values in turn.
local function put(keys, args)
	local refused = not_restoring(keys[1], args)
	if refused then
		return refused
	end
	local pairs_of = {}
	for i = 3, #args, 2 do
		local field = args[i]
		if keys[2] == keys[1] then
			local kind, rest = string.match(field, '^(%a+)(.*)$')
			field = kind .. ':' .. args[2] .. rest
		end
		pairs_of[#pairs_of + 1] = field
		pairs_of[#pairs_of + 1] = args[i + 1]
	end
	redis.call('HSET', keys[2], unpack(pairs_of))
	return { 'OK' }
end

-- KEYS meta, out; ARGV init, generation, one entry.
local function put_entry(keys, args)
	local refused = not_restoring(keys[1], args)
	if refused then
		return refused
	end
	redis.call('XADD', keys[2], '*', unpack(args, 3))
	return { 'OK' }
end

-- KEYS meta; ARGV init, generation, what it is from here on. A shard that is older than the decision to put it in force has the one before in force
-- still: `adopt` then carries the decision out, and takes over what that one had not published.
local function restored(keys, args)
	local refused = not_restoring(keys[1], args)
	if refused then
		return refused
	end
	local is = args[3]
	for _, field in ipairs(is == 'live' and redis.call('HKEYS', keys[1]) or {}) do
		if string.match(field, '^g:%d+$') and redis.call('HGET', keys[1], field) == 'live' then
			is = 'building'
		end
	end
	if is == 'live' then
		redis.call('HSET', keys[1], 'gen', args[2])
	end
	redis.call('HSET', keys[1], 'g:' .. args[2], is)
	return { 'OK' }
end

redis.register_function('meterd_1_restore', restore)
redis.register_function('meterd_1_put', put)
redis.register_function('meterd_1_put_entry', put_entry)
redis.register_function('meterd_1_restored', restored)
redis.register_function('meterd_1_commit', commit)
redis.register_function('meterd_1_create', create)
redis.register_function('meterd_1_migrate', migrate)
redis.register_function('meterd_1_lease', lease)
redis.register_function('meterd_1_begin', begin)
redis.register_function('meterd_1_cut', cut)
redis.register_function { function_name = 'meterd_1_adopt', callback = adopt, flags = { 'allow-oom' } }
redis.register_function { function_name = 'meterd_1_drop', callback = drop, flags = { 'allow-oom' } }
redis.register_function('meterd_1_register', register)
redis.register_function('meterd_1_looked', looked)
redis.register_function('meterd_1_claim', claim)
redis.register_function('meterd_1_renew', renew)
redis.register_function { function_name = 'meterd_1_ack', callback = acknowledge, flags = { 'allow-oom' } }
redis.register_function('meterd_1_close', close)
redis.register_function('meterd_1_settle', settle)
redis.register_function('meterd_1_finish', finish)
redis.register_function('meterd_1_end_run', end_run)
redis.register_function { function_name = 'meterd_1_request_drop', callback = request_drop, flags = { 'allow-oom' } }
