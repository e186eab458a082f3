// SPDX-License-Identifier: Apache-2.0
// The page: asks /api/v1/status every second and draws what it says; alerts come as server-sent events from the place behind the newest
// ones. Everything is put in as text, never as markup. Money stays the decimal text that the daemon says.
"use strict";
(() => {
const WORDS = {
  en: {
    skip: "To the contents", sections: "Sections", live: "Live", alerts: "Alerts", account: "An account's month", settlements: "Settlements", prices: "Price book",
    events_rate: "Events a second", calls_rate: "Calls a second", lag: "Lag, events", outbox: "Outbox", ledger: "Ledger difference", closing: "Next to settle",
    chart_rate: "Events taken in a second, last five minutes", chart_lag: "Lag, last five minutes", top: "Accounts with the most calls",
    account_id: "Account", calls: "Calls", share: "Share", partitions: "Partitions", partition: "Partition", next: "Next offset", rejected: "Rejected",
    record_clock: "Record clock", state: "State", ledger_sum: "Where every event went", time: "Time", kind: "Kind", service: "Service", period: "Month",
    calls_after: "Calls", bill_after: "Bill", no_alerts: "No alert so far. They appear here as they fire.", show: "Show", revision: "Revision", charge: "Charge",
    freeze: "Freeze", more: "More", calls_month: "Calls in the month", quote: "Quote", consumed: "Consumed", counted: "Counted", duplicate: "Duplicate", late: "Late",
    not_billable: "Not billable", control: "Control", difference: "Difference",
    ready: "Ready", not_ready: "Not ready", starting: "Starting", stopping: "Stopping", asking: "Asking…", unreachable: "No answer",
    gone: t => `meterd does not answer since ${t}. What is shown is from then; this page goes on by itself when it is back.`,
    total: n => `${n} in all`, since_start: "since the start", published: n => `${n} published`, behind_clock: t => `record clock ${t}`, balanced: "all accounted for",
    unknown: "not known here", owner_else: "another instance publishes", due: t => `due ${t}`, closes: t => `closes ${t}`, none_open: "no open month",
    window: (m, o) => `last ${m} min${o ? `, each at most ${o} too many` : ""}`, running: "running", halted: "halted", reading_back: "reading back",
    stream_on: "live", stream_off: "not connected, trying again", tier_n: n => `tier ${n}`, from_n: n => `from ${n}`, per: (p, n, c) => `${p} ${c} per ${n}`,
    free_left: "free left", to_next: "to the next tier", billable: "billable", month_end: "at month's end", contract: "contract", shared: "shares free calls",
    settled_rev: n => `settled, revision ${n}`, open_month: "open", free_ends: "free calls end", next_tier: "next tier", reached: "reached", "not at this rate": "not at this rate",
    loading: "Asking…", price_0: "price 0", statement: "Statement", total_line: "Total", no_statement: "Not settled yet: the bill so far.", lines: n => `${n} lines`,
    due_line: (m, c, d) => `${m} is settled after ${c} and due until ${d}.`, closed_line: m => `Settled up to ${m}.`, waits: w => `It waits: ${w}`,
    nothing: "Nothing is published there.", free_quota: "free a month", tiers: "Price tiers", for_calls: "Per calls", remarks: "Remarks", aliases: "also", ended: t => `ends ${t}`, not_yet: "not in this month",
    tier_of_total: "all calls of the month have the price of the tier reached", quote_says: (c, cur, b) => `${c} ${cur} for ${b} billable calls`, unfreeze: "Unfreeze",
    in_words: (e, l) => `${e} events a second now, lag ${l}`, theme_auto: "Auto", theme_light: "Light", theme_dark: "Dark", to_language: "中文", late_calls: "late",
    "free_quota.warning": "quota warning", "free_quota.exhausted": "quota used up", "tier.crossed": "tier crossed", "pack.warning": "pack warning", "pack.exhausted": "pack used up",
  },
  zh: {
    skip: "跳到内容", sections: "章节", live: "实时", alerts: "告警", account: "账号月度", settlements: "结算", prices: "价目表",
    events_rate: "事件/秒", calls_rate: "调用/秒", lag: "积压事件", outbox: "待发布", ledger: "账目差额", closing: "待结算月份",
    chart_rate: "每秒处理事件，最近五分钟", chart_lag: "积压，最近五分钟", top: "调用最多的账号",
    account_id: "账号", calls: "调用量", share: "占比", partitions: "分区", partition: "分区", next: "下一偏移", rejected: "拒绝",
    record_clock: "记录时钟", state: "状态", ledger_sum: "事件去向", time: "时间", kind: "类型", service: "服务", period: "月份",
    calls_after: "调用量", bill_after: "账单", no_alerts: "尚无告警。触发后会立即显示在这里。", show: "查看", revision: "修订", charge: "费用",
    freeze: "冻结", more: "更多", calls_month: "月调用量", quote: "报价", consumed: "已读取", counted: "已计数", duplicate: "重复", late: "迟到",
    not_billable: "不计费", control: "控制", difference: "差额",
    ready: "就绪", not_ready: "未就绪", starting: "启动中", stopping: "停止中", asking: "查询中…", unreachable: "无响应",
    gone: t => `meterd 自 ${t} 起无响应。以下为当时的数据；恢复后本页会自动继续。`,
    total: n => `共 ${n}`, since_start: "自启动以来", published: n => `已发布 ${n}`, behind_clock: t => `记录时钟 ${t}`, balanced: "每个事件都有去向",
    unknown: "此实例未知", owner_else: "由其他实例发布", due: t => `截止 ${t}`, closes: t => `关账 ${t}`, none_open: "没有未结月份",
    window: (m, o) => `最近 ${m} 分钟${o ? `，各项最多偏高 ${o}` : ""}`, running: "运行", halted: "已停", reading_back: "回读中",
    stream_on: "实时", stream_off: "未连接，正在重试", tier_n: n => `第 ${n} 档`, from_n: n => `${n} 起`, per: (p, n, c) => `${p} ${c}/${n} 次`,
    free_left: "剩余免费", to_next: "距下一档", billable: "计费", month_end: "月末预计", contract: "合同", shared: "共享免费额度",
    settled_rev: n => `已结算，修订 ${n}`, open_month: "未结", free_ends: "免费用尽", next_tier: "下一档", reached: "已达到", "not at this rate": "按当前速度不会",
    loading: "查询中…", price_0: "价格为 0", statement: "月结单", total_line: "合计", no_statement: "尚未结算：以下为目前费用。", lines: n => `${n} 行`,
    due_line: (m, c, d) => `${m} 在 ${c} 之后结算，最迟 ${d}。`, closed_line: m => `已结算至 ${m}。`, waits: w => `等待：${w}`,
    nothing: "没有已发布的内容。", free_quota: "每月免费", tiers: "价格档位", for_calls: "每(次)", remarks: "备注", aliases: "别名", ended: t => `${t} 停用`, not_yet: "本月不提供",
    tier_of_total: "当月全部调用按所达档位的价格计费", quote_says: (c, cur, b) => `${c} ${cur}，计费调用 ${b} 次`, unfreeze: "解冻",
    in_words: (e, l) => `当前每秒 ${e} 个事件，积压 ${l}`, theme_auto: "自动", theme_light: "浅色", theme_dark: "深色", to_language: "English", late_calls: "迟到",
    "free_quota.warning": "免费额度预警", "free_quota.exhausted": "免费额度用尽", "tier.crossed": "跨档", "pack.warning": "资源包预警", "pack.exhausted": "资源包用尽",
  },
};
const OUTCOMES = ["counted", "duplicate", "late", "rejected", "not_billable", "control"];
const POINTS = 300, ALERTS = 100, POLL_MS = 1000, ANSWER_MS = 4000;
const $ = id => document.getElementById(id);
const kept = { get: k => { try { return localStorage.getItem("meterd." + k); } catch { return null; } }, set: (k, v) => { try { localStorage.setItem("meterd." + k, v); } catch { /* private window */ } } };

let language = kept.get("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let theme = kept.get("theme") || "auto";
const say = (key, ...args) => { const w = WORDS[language][key]; return typeof w === "function" ? w(...args) : w === undefined ? key : w; };
const number = v => v === null || v === undefined ? "–" : typeof v === "number" ? v.toLocaleString("en-US", { maximumFractionDigits: v < 10 ? 1 : 0 }) : v;
const money = text => text === null || text === undefined ? "–" : text.replace(/^(-?)(\d+)/, (_, s, d) => s + d.replace(/\B(?=(\d{3})+$)/g, ","));
const short = v => v >= 1e6 && v % 1e5 === 0 ? `${v / 1e6}M` : v >= 1e3 && v % 100 === 0 ? `${v / 1e3}k` : number(v);
const instant = text => text === null || text === undefined ? "–" : text.slice(0, 16).replace("T", " ") + " UTC";
const clock = text => text === null || text === undefined ? "–" : text.slice(0, 19).replace("T", " ");
const here = date => date.toTimeString().slice(0, 8);

function el(tag, attributes, ...inside) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) if (v !== false && v !== null && v !== undefined) k === "on" ? e.addEventListener("click", v) : e.setAttribute(k, v);
  e.append(...inside.filter(x => x !== null && x !== undefined));
  return e;
}
const text = (id, value) => { const e = $(id); if (e.textContent !== value) e.textContent = value; };
const row = (...cells) => el("tr", {}, ...cells);
const td = (value, c) => el("td", { class: c }, value instanceof Node ? value : String(value ?? "–"));
const accountLink = a => el("button", { type: "button", class: "link", on: () => show(a, "") }, a);

// ---- words and colours

const dark = () => theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
function paint() {
  document.documentElement.dataset.theme = dark() ? "dark" : "light";
  text("theme", "◐ " + say("theme_" + theme));
  charts.forEach(c => c.make());
}
function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.querySelectorAll("[data-t]").forEach(e => { e.textContent = say(e.dataset.t); });
  document.querySelectorAll("[data-tl]").forEach(e => e.setAttribute("aria-label", say(e.dataset.tl)));
  text("language", say("to_language"));
  $("language").lang = language === "zh" ? "en" : "zh-CN";
  const head = $("outcomes").tHead.rows[0];
  head.replaceChildren(...["consumed", ...OUTCOMES, "difference"].map(o => el("th", { scope: "col", class: "n" }, say(o))));
  paint();
  drawState();
  drawAlerts();
  drawBook();
  if (answer) drawAccount();
  if (settled) drawSettled();
  drawQuote();
}

// ---- asking

async function ask(path) {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), ANSWER_MS * 3);
  try {
    const r = await fetch(path, { signal: stop.signal, cache: "no-store" });
    const body = await r.json();
    if (!r.ok) throw Object.assign(new Error(body.detail || r.statusText), { status: r.status });
    return body;
  } finally {
    clearTimeout(timer);
  }
}

// ---- the charts

function chart(id, pick) {
  const box = $(id), times = [], values = [];
  let plot = null;
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const c = {
    make() {
      if (plot) plot.destroy();
      const axis = { stroke: style("--dim"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      plot = new uPlot({
        width: Math.max(box.clientWidth, 60), height: 150, cursor: { show: false }, legend: { show: false },
        scales: { x: { range: () => { const now = times.length ? times[times.length - 1] : Date.now() / 1000; return [now - POINTS, now]; } }, y: { range: (u, lo, hi) => [0, hi > 0 ? hi * 1.15 : 10] } },
        axes: [{ ...axis, values: (u, v) => v.map(t => here(new Date(t * 1000)).slice(0, 5)), space: 60, size: 26 }, { ...axis, size: 54, values: (u, v) => v.map(short) }],
        series: [{}, { stroke: style("--accent"), fill: style("--fill"), width: 1.5, points: { show: false } }],
      }, [times, values], box);
    },
    add(t, s) {
      times.push(t);
      values.push(pick(s));
      if (times.length > POINTS + 5) { times.shift(); values.shift(); }
      plot.setData([times, values]);
    },
    size() { if (plot) plot.setSize({ width: Math.max(box.clientWidth, 60), height: 150 }); },
  };
  return c;
}
const charts = [chart("chart-rate", s => s && s.rate), chart("chart-lag", s => s && s.lag)];

// ---- how the daemon is

let status = null, before = null, goneSince = null, rates = null;
const sum = (list, f) => list.reduce((n, x) => n + (f(x) || 0), 0);
const all = s => ({ t: performance.now(), started: s.started, events: sum(s.partitions, p => sum(OUTCOMES, o => p.outcomes[o])), calls: sum(Object.values(s.calls), x => x),
  lag: s.partitions.some(p => p.lag === null) ? null : sum(s.partitions, p => p.lag) });

function measure(s) {
  const now = all(s);
  const same = before && before.started === now.started && now.events >= before.events;
  const seconds = same ? (now.t - before.t) / 1000 : 0;
  rates = { ...now, rate: seconds > 0 ? (now.events - before.events) / seconds : null, callRate: seconds > 0 && now.calls >= before.calls ? (now.calls - before.calls) / seconds : null };
  before = now;
}

function drawState() {
  const s = status, pill = $("state");
  document.body.classList.toggle("stale", goneSince !== null);
  $("gone").hidden = goneSince === null;
  if (goneSince) text("gone", say("gone", here(goneSince)));
  const word = goneSince ? "unreachable" : !s ? "asking" : s.state !== "running" ? s.state : s.ready ? "ready" : "not_ready";
  text("state", say(word));
  pill.className = "pill" + (word === "ready" ? " good" : word === "unreachable" ? " bad" : "");
  document.title = (word === "ready" || !s ? "" : say(word) + " – ") + "meterd" + (s ? " " + s.instance : "");
  if (!s) return;
  text("instance", s.instance);
  text("version", "meterd " + s.version);
  const reasons = [...s.reasons, ...s.partitions.filter(p => p.halted).map(p => `${p.topic}/${p.partition}: ${p.halted}`)];
  $("reasons").hidden = reasons.length === 0;
  $("reasons").replaceChildren(...reasons.map(r => el("li", {}, r)));
  drawTiles(s);
  drawParts(s);
  drawTop(s);
}

function drawTiles(s) {
  const r = rates, o = s.outbox, c = s.closing;
  text("events-rate", number(r.rate === null ? null : Math.round(r.rate)));
  text("events-total", say("total", number(r.events)));
  text("calls-rate", number(r.callRate === null ? null : Math.round(r.callRate)));
  text("calls-total", say("total", number(r.calls)));
  text("lag", number(r.lag));
  const clocks = s.partitions.map(p => p.clock).filter(Boolean).sort();
  text("clock", clocks.length ? clock(clocks[clocks.length - 1]) : "–");
  text("outbox", number(o.pending));
  text("published", o.owner ? say("published", number(o.published)) : say("owner_else"));
  text("ledger", number(s.imbalance));
  $("ledger").classList.toggle("bad", s.imbalance > 0);
  text("ledger-note", s.imbalance === null ? say("unknown") : say("balanced"));
  text("closing", c.open || "–");
  text("closing-note", c.due ? say("due", clock(c.due).slice(0, 16)) : c.owner ? say("none_open") : say("owner_else"));
  for (const [id, v] of [["chart-rate", r.rate], ["chart-lag", r.lag]])
    $(id).setAttribute("aria-label", say(id === "chart-rate" ? "chart_rate" : "chart_lag") + ": " + number(v === null ? null : Math.round(v)));
}

function drawParts(s) {
  const list = [...s.partitions].sort((a, b) => a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition);
  $("parts").tBodies[0].replaceChildren(...list.map(p => row(el("th", { scope: "row" }, `${p.topic}/${p.partition}`), td(number(p.next), "n"), td(number(p.lag), "n"), td(clock(p.clock), "wide"), td(say(p.halted ? "halted" : p.reading_back ? "reading_back" : "running")))));
  const sums = OUTCOMES.map(o => sum(list, p => p.outcomes[o]));
  $("outcomes").tBodies[0].replaceChildren(row(td(number(sum(sums, x => x)), "n"), ...sums.map(v => td(number(v), "n")), td(number(s.imbalance), "n")));
}

function drawTop(s) {
  const top = s.top_accounts, most = top.accounts.length ? top.accounts[0].calls : 1, body = $("top").tBodies[0];
  text("top-note", say("window", Math.max(1, Math.round(top.window_seconds / 60)), top.over ? number(top.over) : ""));
  if (body.contains(document.activeElement)) return; // not from under a finger
  body.replaceChildren(...top.accounts.map(a => {
    const bar = el("i", {});
    bar.style.width = `${a.calls / most * 100}%`;
    return row(el("th", { scope: "row" }, accountLink(a.account)), td(number(a.calls), "n"), td(bar, "bar wide"));
  }));
}

async function poll() {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), ANSWER_MS);
  try {
    const r = await fetch("/api/v1/status", { signal: stop.signal, cache: "no-store" });
    status = await r.json();
    measure(status);
    if (goneSince) { goneSince = null; listen(); loadBook(); }
    charts.forEach(c => c.add(Date.now() / 1000, rates));
  } catch {
    goneSince = goneSince || new Date();
    before = null;
    charts.forEach(c => c.add(Date.now() / 1000, null));
  } finally {
    clearTimeout(timer);
    drawState();
    setTimeout(poll, POLL_MS);
  }
}

// ---- alerts

let alerts = [], place = null, source = null, fresh = new Set(), drawing = 0, streaming = false;
const classOf = kind => kind === "tier.crossed" ? "kind tier" : kind.endsWith("exhausted") ? "kind over" : "kind";

function drawAlerts() {
  drawing = 0;
  text("stream", say(streaming ? "stream_on" : "stream_off"));
  $("no-alerts").hidden = alerts.length > 0;
  const body = $("alert-list").tBodies[0];
  if (body.contains(document.activeElement)) { drawing = setTimeout(drawAlerts, 1000); return; }
  body.replaceChildren(...alerts.map(a => {
    const d = a.data, r = row(td(clock(a.time), "wide"), el("td", {}, el("span", { class: classOf(d.kind) }, say(d.kind)), el("span", { class: "narrow" }, clock(a.time))), td(accountLink(d.account)), td(d.service ?? (d.services || []).join(", ")),
      td(d.period, "wide"), td(number(d.calls_after), "n"), td(d.bill_after ? `${money(d.bill_after)} ${d.currency}` : "–", "n wide"));
    if (fresh.has(a.id)) r.className = "fresh";
    r.dataset.id = a.id;
    return r;
  }));
  fresh.clear();
}
const drawSoon = () => { if (!drawing) drawing = setTimeout(drawAlerts, 250); };

function take(a, id) {
  place = id || place;
  if (!a || !a.data || alerts.some(x => x.id === a.id)) return;
  alerts.unshift(a);
  fresh.add(a.id);
  alerts.length = Math.min(alerts.length, ALERTS);
  drawSoon();
}

let again = 0;
async function listen() {
  clearTimeout(again);
  if (source) source.close();
  source = null;
  try {
    const r = await ask("/api/v1/alerts");
    for (const a of [...r.alerts].reverse()) take(a, null);
    place = r.place;
    drawSoon();
  } catch { /* not there yet: the stream below says so, and tries again */ }
  if (place === null) { again = setTimeout(listen, 2000); return; }
  source = new EventSource("/api/v1/alerts?after=" + encodeURIComponent(place));
  source.onopen = () => { streaming = true; drawSoon(); };
  source.onmessage = e => { try { take(JSON.parse(e.data), e.lastEventId); } catch { /* not an alert */ } };
  source.onerror = () => {
    streaming = false;
    drawSoon();
    if (source && source.readyState === EventSource.CLOSED && !goneSince) again = setTimeout(listen, 2000);
  };
}

// ---- the price book

let book = null;
async function loadBook() {
  try { book = await ask("/api/v1/catalog" + (status && status.closing.open ? "?period=" + status.closing.open : "")); } catch { setTimeout(loadBook, 3000); return; }
  drawBook();
}
const service = id => book && book.services.find(s => s.id === id);
const named = s => language === "zh" && s.name ? s.name : s.id;

function ladder(plan, currency, count, will) {
  const at = plan.tiers.findLastIndex(t => plan.bounds === "upper-inclusive" && t.from > 0 ? count > t.from : count >= t.from);
  return el("ol", { class: "ladder", "aria-label": say("tiers") }, ...plan.tiers.map((t, i) => {
    const to = i + 1 < plan.tiers.length ? plan.tiers[i + 1].from : Math.max(t.from * 2, count || 0, will || 0, 1);
    const part = v => `${Math.max(0, Math.min(1, (v - t.from) / (to - t.from))) * 100}%`;
    const is = el("i", { class: "is" }), then = el("i", { class: "will" });
    is.style.width = count === null ? "0%" : part(count);
    then.style.width = will === null ? "0%" : part(will);
    return el("li", { class: count !== null && i === at ? "now" : null }, el("div", { class: "rail" }, then, is), el("span", {}, t.unit_price), el("span", { title: number(t.from) }, say("from_n", short(t.from))));
  }));
}

function drawBook() {
  if (!book) return;
  text("book", `${book.version} · ${book.period} · ${book.currency}`);
  const select = $("quote-service"), chosen = select.value;
  select.replaceChildren(...book.services.filter(s => s.exists && s.plan).map(s => el("option", { value: s.id }, named(s))));
  if (chosen) select.value = chosen;
  const most = Math.max(1, ...book.services.map(s => s.plan ? s.plan.tiers.length : 0)), columns = [...Array(most).keys()];
  $("price-list").tHead.rows[0].replaceChildren(el("th", { scope: "col" }, say("service")), el("th", { scope: "col", class: "n" }, say("free_quota")),
    ...columns.map(i => el("th", { scope: "col", class: "n" }, say("tier_n", i + 1))), el("th", { scope: "col", class: "n" }, say("for_calls")), el("th", { scope: "col", class: "wide" }, say("remarks")));
  $("price-list").tBodies[0].replaceChildren(...book.services.map(s => row(
    el("th", { scope: "row" }, named(s), el("small", { class: "dim" }, language === "zh" ? s.id : s.name || "")), td(s.plan ? number(s.plan.quota) : "–", "n"),
    ...(s.plan ? columns.map(i => { const t = s.plan.tiers[i]; return td(t ? el("span", {}, t.unit_price, el("small", { class: "dim" }, say("from_n", short(t.from)))) : "", "n"); })
      : [el("td", { class: "n dim", colspan: most }, say(s.exists ? "price_0" : "not_yet"))]), td(s.plan ? number(s.plan.per) : "–", "n"),
    td([s.plan && s.plan.model, s.aliases.length ? `${say("aliases")} ${s.aliases.join(", ")}` : null, s.end ? say("ended", instant(s.end)) : null].filter(Boolean).join(" · "), "wide dim"))));
}

let quoted = null;
function drawQuote() {
  if (quoted) text("quote-out", say("quote_says", money(quoted.charge), quoted.currency, number(quoted.billable)));
}

async function quote(event) {
  event.preventDefault();
  quoted = null;
  try {
    quoted = await ask(`/api/v1/quote?service=${encodeURIComponent($("quote-service").value)}&calls=${encodeURIComponent($("quote-calls").value)}${book ? "&period=" + book.period : ""}`);
    drawQuote();
  } catch (e) { text("quote-out", e.message); }
}

// ---- an account's month

let answer = null;
function show(account, period) {
  $("ask-account").value = account;
  $("ask-period").value = period;
  $("account").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  $("ask-account").focus({ preventScroll: true });
  load();
}

async function load() {
  const account = $("ask-account").value.trim(), period = $("ask-period").value.trim();
  if (!account) return;
  text("account-note", say("loading"));
  try {
    const lines = await ask(`/api/v1/usage?account=${encodeURIComponent(account)}${period ? "&period=" + encodeURIComponent(period) : ""}`);
    const month = lines[0].period, isSettled = lines.some(l => l.revision !== null);
    const prices = book && book.period === month ? book : await ask("/api/v1/catalog?period=" + month);
    const statement = isSettled ? await ask(`/api/v1/statements/${encodeURIComponent(account)}/${month}`).catch(() => null) : null;
    answer = { account, lines, prices, statement };
    drawAccount();
  } catch (e) {
    answer = null;
    $("account-lines").replaceChildren();
    $("statement").replaceChildren();
    text("account-note", e.message);
  }
}

const when = v => v === null || v === undefined ? null : v === "reached" || v === "not at this rate" ? say(v) : instant(v);
const fact = (word, value) => value === null || value === undefined ? null : el("span", {}, word + " ", el("b", {}, String(value)));

function accountLine(l, prices) {
  const s = prices.services.find(x => x.id === l.service), plan = s && s.plan;
  const late = l.late ? fact(say("late_calls"), number(l.late)) : null;
  return el("div", { class: "line" },
    el("h3", {}, s ? named(s) : l.service, el("small", { class: "dim" }, language === "zh" ? l.service : s && s.name || ""), el("b", {}, l.charge === null ? say("price_0") : `${money(l.charge)} ${l.currency}`)),
    plan ? ladder(plan, l.currency, plan.tier_basis === "billable" ? l.billable : l.calls, l.month_calls) : null,
    el("p", { class: "facts" }, fact(say("calls"), number(l.calls)), late, fact(say("billable"), l.billable === null ? null : number(l.billable)), fact(say("free_left"), l.free_left === null ? null : number(l.free_left)),
      fact(say("to_next"), l.to_next_tier === null ? null : number(l.to_next_tier)), l.unit_price === null ? null : el("span", {}, say("tier_n", l.tier) + " · " + say("per", l.unit_price, number(l.per), l.currency)),
      fact(say("month_end"), l.month_calls === null ? null : `${number(l.month_calls)} · ${money(l.month_charge)} ${l.currency}`), fact(say("free_ends"), when(l.free_ends)), fact(say("next_tier"), when(l.next_tier)),
      fact(say("contract"), l.contract), fact(say("shared"), l.shared), l.revision === null ? null : el("span", {}, say("settled_rev", l.revision))));
}

function drawAccount() {
  const a = answer;
  text("account-note", `${a.account} · ${a.lines[0].period} · ${a.lines[0].revision === null ? say("no_statement") : say("lines", a.lines.length)}`);
  $("account-lines").replaceChildren(...a.lines.map(l => accountLine(l, a.prices)));
  const st = a.statement;
  if (!st) { $("statement").replaceChildren(); return; }
  const cells = d => [td(number(d.calls), "n"), td(money(d.charge), "n"), td(money(d.unfreeze), "n wide"), td(money(d.freeze), "n wide")];
  $("statement").replaceChildren(el("h3", { id: "statement-h" }, `${say("statement")} · ${say("settled_rev", st.revision)} · ${st.currency}`),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-labelledby": "statement-h" }, el("table", {},
      el("thead", {}, row(el("th", { scope: "col" }, say("service")), ...["calls", "charge"].map(k => el("th", { scope: "col", class: "n" }, say(k))), ...["unfreeze", "freeze"].map(k => el("th", { scope: "col", class: "n wide" }, say(k))))),
      el("tbody", {}, ...st.lines.map(l => row(el("th", { scope: "row" }, l.service), ...cells(l))), row(el("th", { scope: "row" }, say("total_line")), ...cells({ ...st, calls: sum(st.lines, l => l.calls) }))))));
}

// ---- settlements

let settled = null;
function drawDue() {
  if (!status) return;
  const c = status.closing, parts = [];
  if (c.closed) parts.push(say("closed_line", c.closed));
  if (c.open && c.due) parts.push(say("due_line", c.open, instant(c.closes), instant(c.due)));
  if (c.note) parts.push(say("waits", c.note));
  text("due", parts.join(" ") || say(c.owner ? "none_open" : "owner_else"));
}

async function loadSettled(cursor) {
  const account = $("settled-account").value.trim(), period = $("settled-period").value.trim();
  text("settled-note", say("loading"));
  try {
    const list = cursor ? settled.list : [];
    let next = cursor;
    do { // pages without a line in them have a next one
      const q = new URLSearchParams();
      for (const [k, v] of [["period", period], ["account", account], ["cursor", next]]) if (v) q.set(k, v);
      const page = await ask("/api/v1/settlements" + (q.size ? "?" + q : ""));
      list.push(...page.settlements);
      next = page.next;
    } while (next && list.length === 0);
    settled = { list, next };
    drawSettled();
  } catch (e) { text("settled-note", e.message); }
}

function drawSettled() {
  const list = settled.list.filter(e => e.type !== "meterd.period.closed.v1");
  text("settled-note", list.length ? say("lines", number(list.length)) : say("nothing"));
  $("settled-box").hidden = list.length === 0;
  $("settled-more").hidden = !settled.next;
  $("settled-list").tBodies[0].replaceChildren(...list.map(e => {
    const d = e.data;
    return row(td(d.period), td(accountLink(d.account)), td(d.service ?? say("total_line")), td(number(d.revision), "n wide"), td(number(d.calls), "n"), td(money(d.charge), "n"), td(money(d.freeze), "n wide"));
  }));
}

// ---- start

$("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; kept.set("language", language); translate(); drawDue(); });
$("theme").addEventListener("click", () => { theme = { auto: "dark", dark: "light", light: "auto" }[theme]; kept.set("theme", theme); paint(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
addEventListener("resize", () => charts.forEach(c => c.size()));
$("ask").addEventListener("submit", e => { e.preventDefault(); load(); });
$("quote").addEventListener("submit", quote);
$("settled").addEventListener("submit", e => { e.preventDefault(); loadSettled(null); });
$("settled-more").addEventListener("click", () => loadSettled(settled.next));
translate();
poll().then(() => { loadBook(); drawDue(); setInterval(drawDue, POLL_MS); });
listen();
})();
