
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 120;
const LOOK_EVERY = 2000;
const HISTORY_EVERY = 30000;
const cards = new Map();
let history = { every_seconds: 30, mappings: {} };

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function number(value) {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toFixed(1);
}

function known(value) {
  return value === null || value === undefined ? "–" : number(value);
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.max(1, Math.round(value * 1000))} ms`;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 100) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} days`;
}

function bytes(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1048576) return `${Math.round(value / 1024)} KiB`;
  return `${(value / 1048576).toFixed(1)} MiB`;
}

function ago(now, time) {
  return time ? `${seconds(Math.max(1, (Date.parse(now) - Date.parse(time)) / 1000))} ago` : "never";
}

function paint(pill, state) {
  const kind = { ready: "good", works: "good", "not ready": "bad", refuses: "bad", degraded: "bad", paused: "warn", retiring: "warn", changing: "warn", draining: "warn" };
  pill.className = `pill ${kind[state] || ""}`;
  say(pill, state);
}

function figure(card, key, label, extra) {
  const box = element("div", "figure");
  const value = element("b");
  const small = element("small");
  value.dataset.key = key;
  box.append(element("span", "", label), value, small);
  if (extra) box.append(extra);
  card.figures.append(box);
  card.values[key] = { value, small, extra };
}

function sparkline(label) {
  const svg = drawn("svg", { viewBox: `0 0 ${POINTS - 1} 20`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  svg.append(drawn("line", { x1: 0, y1: 19, x2: POINTS - 1, y2: 19 }), drawn("polyline", { points: "" }));
  return svg;
}

function bar() {
  const svg = drawn("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" });
  svg.append(drawn("rect", { class: "track", width: 100, height: 8, rx: 2 }));
  svg.append(drawn("rect", { class: "used", width: 0, height: 8, rx: 2 }));
  return svg;
}

function makeCard(name) {
  const card = { node: element("article"), values: {}, figures: element("div", "figures"), lists: {} };
  card.node.dataset.mapping = name;
  const title = element("div", "title");
  card.state = element("span", "pill");
  title.append(element("h2", "", name), card.state);
  card.route = element("p", "route");
  card.reason = element("p", "reason");
  card.note = element("p", "note");
  card.node.append(title, card.route, card.reason, card.note, card.figures);
  figure(card, "received", "In", sparkline("messages received, last hour"));
  figure(card, "settled", "Out", sparkline("messages with an outcome, last hour"));
  figure(card, "failed", "Failed invocations", sparkline("failed invocations, last hour"));
  figure(card, "latency", "Receipt to outcome, median", sparkline("99th percentile of receipt to outcome, last hour"));
  figure(card, "held", "Window", bar());
  figure(card, "invocations", "Invocations in flight", bar());
  figure(card, "oldest", "Oldest in flight");
  figure(card, "dead", "Dead-lettered");
  for (const [key, label] of [["troubles", "Last errors"], ["sessions", "Sessions"], ["destinations", "Failure destinations"]]) {
    const list = element("ul");
    const heading = element("h3", "", label);
    card.node.append(heading, list);
    card.lists[key] = { list, heading };
  }
  return card;
}

function fill(card, key, value, small) {
  say(card.values[key].value, value);
  say(card.values[key].small, small || "");
}

function level(card, key, used, of) {
  const svg = card.values[key].extra;
  const share = of > 0 ? Math.min(1, used / of) : 0;
  svg.querySelector(".used").setAttribute("width", 100 * share);
  svg.classList.toggle("full", key === "held" && share >= 1);
}

function rows(card, key, all) {
  const { list, heading } = card.lists[key];
  heading.hidden = all.length === 0;
  const text = JSON.stringify(all);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(...all.map(([text, small, className, state]) => {
    const row = element("li", className);
    row.append(text);
    if (state) {
      const pill = element("span");
      paint(pill, state);
      row.append(" ", pill);
    }
    row.append(element("small", "", small));
    return row;
  }));
}

function showMapping(now, mapping) {
  let card = cards.get(mapping.name);
  if (!card) {
    card = makeCard(mapping.name);
    cards.set(mapping.name, card);
    document.getElementById("mappings").append(card.node);
    showHistory();
  }
  paint(card.state, mapping.state);
  say(card.route, `${mapping.topic_filter} → ${mapping.function}`);
  say(card.reason, mapping.reason || "");
  say(card.note, mapping.notes.join("; "));
  const { per_second: flow, totals, held, invocations } = mapping;
  fill(card, "received", `${number(flow.received)}/s`, `${number(totals.received)} in all; last ${ago(now, mapping.last_received)}`);
  const out = totals.delivered + totals.filtered + totals.dead_lettered + totals.expired;
  fill(card, "settled", `${number(flow.settled)}/s`, `${number(out)} in all; last success ${ago(now, mapping.last_success)}`);
  fill(card, "failed", `${number(flow.failed)}/s`, `${number(totals.invocations_failed)} in all`);
  fill(card, "latency", seconds(flow.median_seconds), `99 %: ${seconds(flow.p99_seconds)}`);
  fill(card, "held", number(held.messages), `of ${number(held.capacity)}; ${bytes(held.bytes)}`);
  level(card, "held", held.messages, held.capacity);
  fill(card, "invocations", number(invocations.in_flight), `of ${number(invocations.allowed)} allowed; ${number(invocations.configured)} configured`);
  level(card, "invocations", invocations.in_flight, invocations.allowed);
  fill(card, "oldest", seconds(held.oldest_seconds));
  fill(card, "dead", number(totals.dead_lettered), `${number(totals.filtered)} filtered; ${number(totals.expired)} expired`);
  rows(card, "troubles", mapping.troubles.map((trouble) => [
    trouble.text.startsWith(trouble.about) ? trouble.text : `${trouble.about}: ${trouble.text}`,
    `${number(trouble.count)} in all; since ${trouble.since}, last ${trouble.last}${trouble.is_over ? "; it has worked since" : ""}`,
    trouble.is_over ? "over" : "",
  ]));
  rows(card, "sessions", mapping.sessions.map((session) => [
    session.client_id,
    session.connected_since
      ? `connected since ${session.connected_since}; ${session.session_present ? "session was present" : "new session"}` +
        (session.session_expiry_seconds === null ? "" : `; the broker keeps it for ${seconds(session.session_expiry_seconds)}`) +
        `; ${session.tls}`
      : "not connected",
  ]));
  rows(card, "destinations", mapping.destinations.map((destination) => {
    const { place, state, taken, refused, last_taken, refuses_since, refusal } = destination;
    const counts = `${number(taken)} taken, ${number(refused)} refused`;
    const last = last_taken ? `; last taken ${last_taken}` : "";
    return [
      place,
      refusal ? `${counts}${last}; refuses since ${refuses_since}: ${refusal}` : `${counts}${last}`,
      "",
      state,
    ];
  }));
}

function show(status) {
  paint(document.getElementById("state"), status.state);
  document.title = `${status.state} – MQTT–Lambda bridge`;
  const ends = Object.entries(status.tls_ends).map(([of, end]) => {
    const left = (Date.parse(end) - Date.parse(status.now)) / 1000;
    return `${of.replace("_", " ")} ${left > 0 ? `ends in ${seconds(left)}` : "has ended"}`;
  });
  const facts = [
    `version ${status.version}`, `running for ${seconds((Date.parse(status.now) - Date.parse(status.started)) / 1000)}`,
    `broker ${status.broker}`, `MQTT ${status.protocol}`, ...ends, `memory ${bytes(status.resident_bytes)}`,
    `${known(status.open_descriptors)} of ${known(status.max_descriptors)} descriptors`,
  ];
  if (status.dropped_by_broker) facts.push(`the broker has dropped ${number(status.dropped_by_broker)} messages`);
  if (status.publisher) facts.push(`publisher ${status.publisher.state}${status.publisher.reason ? `: ${status.publisher.reason}` : ""}`);
  say(document.getElementById("facts"), facts.join(" · "));
  status.mappings.forEach((mapping) => showMapping(status.now, mapping));
  const named = new Set(status.mappings.map((mapping) => mapping.name));
  for (const [name, card] of cards) {
    if (!named.has(name)) {
      card.node.remove();
      cards.delete(name);
    }
  }
}

function showHistory() {
  const lines = { received: "received", settled: "settled", failed: "failed", latency: "p99_milliseconds" };
  for (const [name, card] of cards) {
    const series = history.mappings[name];
    if (!series) continue;
    for (const [key, of] of Object.entries(lines)) {
      const values = series[of];
      const top = Math.max(1, ...values);
      const begin = POINTS - values.length;
      const points = values.map((value, index) => `${begin + index},${(19 - 18 * value / top).toFixed(1)}`);
      card.values[key].extra.querySelector("polyline").setAttribute("points", points.join(" "));
    }
  }
}

async function fetched(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/* One request at a time: a bridge that is slow to answer is not asked more often for it. */
async function forever(every, look) {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

forever(LOOK_EVERY, async () => {
  const stale = document.getElementById("stale");
  try {
    show(await fetched("/status.json"));
    stale.hidden = true;
  } catch {
    if (stale.hidden) say(stale, `No answer from the bridge since ${new Date().toLocaleTimeString()}; what is shown may be old.`);
    stale.hidden = false;
  }
});

forever(HISTORY_EVERY, async () => {
  try {
    history = await fetched("/history.json");
    showHistory();
  } catch {
    /* The other loop says that there is no answer. */
  }
});
