// The page of the room. All text goes in as text, never as markup; what it says is decided by the
// server (mitm/capture/wording.py), as is the mood, which is a class of house.css.
"use strict";

const $ = (id) => document.getElementById(id);
const MOODS = new Set(["quiet", "strong", "good", "caution", "harm"]);
const MOST_CONNECTIONS = 20;
const FILES = { "packets.pcapng": "pcapng", "secrets.keys": "key log", "events.jsonl": "events" };

function make(tag, text, ...classes) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.classList.add(...classes.filter(Boolean));
  return element;
}

// The name of a method goes on in the next line where its service ends, rather than in mid-word.
function breakable(element) {
  const parts = element.textContent.split(/(?<=\S\/)/);
  element.replaceChildren(...parts.flatMap((part, place) => (place ? [make("wbr"), part] : [part])));
  return element;
}

const mooded = (mood) => (MOODS.has(mood) ? mood : "");
const isBelow = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 80;

// What is new is in sight, unless somebody has gone back; seen to once a picture, however much comes.
const below = new Set();
let scrolling = false;

function follow(id) {
  below.add(id);
  if (scrolling) return;
  scrolling = true;
  requestAnimationFrame(() => {
    scrolling = false;
    for (const each of below) $(each).scrollTop = $(each).scrollHeight;
    below.clear();
  });
}

let following = true;

function say(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

async function send(where, what = {}) {
  say("");
  try {
    const answer = await fetch(where, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(what),
    });
    if (!answer.ok) say((await answer.json()).reason);
    return answer.ok;
  } catch {
    say("The room does not answer: is mitm-demo room still running?");
    return false;
  }
}

// ---- the stage

const stage = { scenario: "", legs: [], cast: [], genuine: null, viewed: 0, over: null, playing: false };
const queue = [];
let known = { scenarios: [], clients: [], certificates: [] };

function clearStage() {
  Object.assign(stage, { legs: [], cast: [], genuine: null, viewed: 0, over: null, playing: false });
  queue.length = 0;
  for (const id of ["legs", "verdict", "scene", "point", "captures"]) $(id).hidden = true;
  $("legs").replaceChildren();
  $("told").hidden = false;
  $("told").textContent = "Choose a scenario and a client, and play it.";
  showWaiting();
}

function takeStage(record) {
  if (record.kind === "begun" || record.kind === "cleared") {
    clearStage();
    apply(record);
  } else if ($("stepping").checked) {
    queue.push(record);
    showWaiting();
  } else {
    apply(record);
  }
}

function step() {
  const record = queue.shift();
  if (record) apply(record);
  showWaiting();
}

function showWaiting() {
  $("next").hidden = !$("stepping").checked;
  $("next").disabled = !queue.length;
  $("waiting").textContent = queue.length ? `(${queue.length} waiting)` : "";
}

function leg(number) {
  return (stage.legs[number] ??= {
    path: [], attacker: null, rows: [], believes: [], reads: [], chain: null, genuine: null, picture: null,
  });
}

function apply(record) {
  const current = leg_of(record);
  switch (record.kind) {
    case "cleared":
      busy(false);
      return;
    case "begun":
      busy(true);
      stage.scenario = record.scenario;
      chooseWhatIsPlayed();
      $("told").textContent = `${record.title}, ${record.client}: it begins …`;
      return;
    case "waiting":
      $("told").textContent = `It waits for its turn: ${count(record.before, "other comes", "others come")} before it.`;
      return;
    case "script":
      stage.cast = record.cast;
      record.paths.forEach((path, number) => { leg(number).path = path; });
      $("told").hidden = true;
      $("scene").hidden = false;
      drawLegs();
      view(0);
      return;
    case "leg":
      Object.assign(current, { path: record.path, attacker: record.attacker ?? null, genuine: stage.genuine });
      current.believes.push(...record.believes);
      view(record.leg);
      return;
    case "between":
      leg(stage.viewed).rows.push(record);
      drawRow(leg(stage.viewed), record);
      return;
    case "leg-over":
      finish(current, record);
      return;
    case "over":
      over(record);
      return;
    case "failed":
      busy(false);
      $("told").hidden = false;
      $("told").textContent = `Not played: ${record.reason}`;
      return;
  }
  if (record.kind === "server-certificate") {
    stage.genuine = current.genuine = record.chain;
  } else if (record.chain) {
    current.chain = record.chain;
  }
  current.rows.push(record);
  current.believes = add(current.believes, record.believes);
  current.reads = add(current.reads, record.reads);
  if (record.leg === undefined ? stage.viewed === 0 : record.leg === stage.viewed) {
    drawRow(current, record);
    if (record.believes || record.reads) drawColumns(current);
    if (record.chain) drawChains(current);
  }
}

const leg_of = (record) => leg(record.leg ?? 0);

// A connection that is made twice is believed in once.
function add(lines, more) {
  for (const line of more ?? []) {
    if (!lines.some((each) => each[1] === line[1])) lines = [...lines, line];
  }
  return lines.slice(-60);
}

function finish(current, record) {
  current.picture = record.picture;
  current.believes = record.picture.believed.map(([text, mood]) => ["", text, mood]);
  current.reads = record.picture.read.map(([text, mood]) => ["", text, mood]);
  const last = current.path.length - 1;
  const from = current.attacker === null ? 0 : Math.min(current.attacker, last - 1);
  for (const [text, mood] of record.picture.server) {
    current.rows.push({ kind: "recorded", way: [from, last], lines: [[current.path[last], `${current.path[last]} ${text}`, mood]] });
  }
  const reason = `${record.picture.verdict ?? "not played"}: ${record.picture.reason}`;
  current.rows.push({ kind: "ended", lines: [["", reason, record.picture.mood]] });
  drawLegs();
  if (record.leg === stage.viewed) view(record.leg);
}

function over(record) {
  const { picture } = record;
  busy(false);
  stage.over = record;
  const box = $("verdict");
  box.className = `verdict ${mooded(picture.mood)}`;
  $("word").textContent = picture.verdict;
  $("reason").textContent = picture.legs[picture.shown].reason;
  $("fix").textContent = picture.fix ? `Fix: ${picture.fix}` : "";
  $("scripted").textContent = picture.as_scripted ? "as the lesson has it" : "not as the lesson has it";
  box.hidden = false;
  $("point").textContent = picture.point;
  $("point").hidden = !picture.point;
  drawCaptures($("captures"), "captures/", record);
  const next = known.scenarios.find((each) => each.name === picture.next);
  if (next) $("captures").append(goOn(next));
  // The leg that the verdict is of is the one to look at.
  drawLegs();
  view(picture.shown);
}

// Buttons for what is recorded below an address, and what could not be.
function drawCaptures(box, where, { captures, lost = [] }) {
  const files = captures.map((name) => {
    const link = make("a", FILES[name] ?? name, "as-button");
    link.href = where + encodeURIComponent(name);
    link.download = name;
    return link;
  });
  box.replaceChildren(make("span", "Recorded:"), ...files, ...lost.map((line) => make("span", line, "harm")));
  box.hidden = false;
}

function goOn(next) {
  const button = make("button", `Next: ${next.name}`);
  button.type = "button";
  button.id = "go-on";
  button.addEventListener("click", () => {
    $("scenario").value = next.name;
    showPlay();
    $("play").focus();
  });
  return button;
}

function busy(playing) {
  stage.playing = playing;
  showPlay();
}

function drawLegs() {
  const items = stage.legs.map((each, number) => {
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(number === stage.viewed));
    button.append(make("span", `${number + 1}  ${each.path.join(" → ")}`));
    if (each.picture) {
      button.append(make("b", each.picture.verdict ?? "not played", mooded(each.picture.mood)));
    }
    button.addEventListener("click", () => view(number));
    const item = make("li");
    item.append(button);
    return item;
  });
  $("legs").replaceChildren(...items);
  $("legs").classList.toggle("many", items.length > 3);
  $("legs").hidden = false;
}

function view(number) {
  stage.viewed = number;
  following = true;
  const current = leg(number);
  $("legs").querySelectorAll("button").forEach((button, place) => {
    button.setAttribute("aria-pressed", String(place === number));
  });
  $("diagram").style.setProperty("--n", current.path.length);
  $("heads").replaceChildren(
    ...current.path.map((name, place) => make("span", name, place === current.attacker && "attacker")),
  );
  $("lines").replaceChildren(...current.path.map(() => make("i")));
  $("rows").replaceChildren();
  for (const record of current.rows) drawRow(current, record);
  drawColumns(current);
  drawChains(current);
}

function lines(record) {
  return record.lines.map(([, text, mood], place) => {
    const more = text.startsWith("  ");
    return breakable(make("p", text.trim(), mooded(mood), more && place && "more"));
  });
}

function drawRow(current, record) {
  const row = make("li");
  const words = make("div");
  row.append(words);
  words.append(...lines(record));
  if (record.at) row.dataset.at = record.at;
  row.dataset.kind = record.kind;
  if (record.way) {
    const [from, to] = record.way;
    const low = Math.min(from, to);
    const span = Math.abs(to - from);
    row.style.setProperty("--from", low);
    row.style.setProperty("--span", span);
    // Where little room is left beside it, it stands before the end of its arrow.
    row.classList.toggle("last", low > (current.path.length - 1) / 2);
    const said = `${current.path[from]} to ${current.path[to]}: `;
    words.firstChild?.prepend(make("span", said, "unseen"));
    const mood = record.lines.map(([, , mood]) => mood).find((each) => each === "harm") ?? record.lines[0]?.[2];
    const arrow = make("span", "", "arrow", to > from ? "right" : "left", mooded(mood));
    arrow.setAttribute("aria-hidden", "true");
    if (span > 1 && current.attacker !== null && record.kind !== "recorded") {
      arrow.classList.add("seen");
      arrow.style.setProperty("--eye", (current.attacker - low) / span);
    }
    row.append(arrow);
  } else {
    row.classList.add("note");
  }
  $("rows").append(row);
  if (following) follow("diagram");
}

function list(box, said, nothing) {
  const items = said.map(([, text, mood]) => breakable(make("li", text.trim(), mooded(mood))));
  box.replaceChildren(...(items.length ? items : [make("li", nothing, "quiet")]));
}

function drawColumns(current) {
  list($("believes"), current.believes, "nothing yet");
  const nobody = current.attacker === null;
  list($("reads"), current.reads, nobody ? "nobody stands in between" : "nothing yet");
  // What has just been read is in sight; of the whole, the beginning.
  if (!current.picture) {
    follow("reads-box");
    return;
  }
  below.delete("reads-box");
  $("reads-box").scrollTop = $("believes-box").scrollTop = 0;
}

function drawChains(current) {
  const genuine = current.genuine ?? stage.genuine;
  const forged = current.chain;
  const differing = forged && genuine ? differences(forged, genuine) : null;
  drawChain($("genuine"), genuine, null, differing, "none: the server speaks no TLS, or has not been called yet");
  const nobody = current.attacker === null;
  drawChain($("forged"), forged, genuine, differing, nobody ? "nobody stands in between" : "none was presented");
}

const FACTS = [
  ["for", (chain) => chain.names || "no name"],
  ["from", (chain) => span(chain)[0]],
  ["until", (chain) => span(chain)[1]],
  ["key", (chain) => chain.key],
  ["SHA-256", (chain) => `${chain.sha256.slice(0, 12)}…`],
];

// Of a chain that there is none beside.
const ALONE = new Set(["for", "until", "SHA-256"]);

// The facts in which two chains differ. Each is made a moment after the other.
function differences(one, two) {
  const alike = near(one, two) ? new Set(["from", "until"]) : new Set();
  return new Set(FACTS.filter(([label, of]) => !alike.has(label) && of(one) !== of(two)).map(([label]) => label));
}

// A chain, and what of it differs from another one: what both have in common is left out.
function drawChain(box, chain, other, differing, nothing) {
  box.previousElementSibling.querySelector("span").textContent = chain ? `“${chain.certificate}”` : "";
  if (!chain) {
    box.replaceChildren(make("p", nothing, "quiet"));
    return;
  }
  const named = chain.subjects.length === 1 && chain.issuer ? [...chain.subjects, chain.issuer] : chain.subjects;
  const others = other ? (other.subjects.length === 1 ? [...other.subjects, other.issuer] : other.subjects) : named;
  const links = make("ol");
  if (!named.length) links.append(make("li", "no certificate at all", "caution"));
  named.forEach((name, place) => {
    const alike = common(name) === common(others[place] ?? "") && name !== others[place];
    const itself = place && name === named[place - 1];
    const link = make("li", itself ? "itself" : alike ? name : common(name), name !== others[place] && "differs");
    link.title = name;
    links.append(link);
  });
  const told = make("dl");
  for (const [label, of] of FACTS) {
    if (of(chain) && (differing?.has(label) ?? ALONE.has(label))) {
      told.append(make("dt", label), make("dd", of(chain), other && "differs"));
    }
  }
  box.replaceChildren(links, told);
}

// The common name of a distinguished name, or all of it.
const common = (name) => /^CN=((?:[^,\\]|\\.)+)/.exec(name)?.[1] ?? name;

// When a chain begins and ends, to the minute.
const span = (chain) => (chain.valid ?? "").replace(" UTC", "").split(" to ").map((time) => time.slice(0, 16));

function near(one, two) {
  const times = (chain) => span(chain).map((time) => Date.parse(`${time.replace(" ", "T")}:00Z`));
  const [a, b] = [times(one), times(two)];
  return a.length === 2 && b.length === 2 && a.every((each, place) => Math.abs(each - b[place]) < 180000);
}

// ---- what can be chosen

function option(value, text, missing) {
  const made = make("option", missing ? `${text} (not here)` : text);
  made.value = value;
  if (missing) {
    made.disabled = true;
    made.title = missing;
  }
  return made;
}

// A page that comes later tells the same as the one that was played on.
function chooseWhatIsPlayed() {
  if (!known.scenarios.some((each) => each.name === stage.scenario)) return;
  $("scenario").value = stage.scenario;
}

function showPlay() {
  const client = known.clients.find((each) => each.name === $("client").value);
  for (const choice of $("scenario").options) {
    const scenario = known.scenarios.find((each) => each.name === choice.value);
    choice.disabled = Boolean(scenario?.missing) || !client?.plays.includes(choice.value);
  }
  $("play").disabled = stage.playing || !client || !$("scenario").selectedOptions[0] || $("scenario").selectedOptions[0].disabled;
}

async function choose() {
  let answer;
  try {
    answer = await fetch("choices");
  } catch {
    say("The room does not answer: is mitm-demo room still running?");
    return;
  }
  if (!answer.ok) return;
  known = await answer.json();
  $("seat").textContent = known.seat > 1 ? `seat ${known.seat}` : "";
  $("scenario").replaceChildren(...known.scenarios.map((each) => option(each.name, `${each.name}: ${each.title}`, each.missing)));
  $("client").replaceChildren(...known.clients.map((each) => option(each.name, each.title, each.missing)));
  $("scenario").value = "skip-verify";
  chooseWhatIsPlayed();
  const groups = new Map();
  for (const each of known.certificates) {
    if (!groups.has(each.family)) {
      const group = make("optgroup");
      group.label = each.family;
      groups.set(each.family, group);
    }
    groups.get(each.family).append(option(each.name, `${each.name}: ${each.title}`));
  }
  $("certificate").replaceChildren(...groups.values());
  $("certificate").value = "attacker-ca";
  document.querySelector("[data-view=class]").hidden = !known.class;
  $("listen").disabled = false;
  showPlay();
}

// ---- one's own client

const connections = new Map();
const own = { captures: [] };
const OFFERED = new Set(["connected", "destination", "client-hello", "plaintext"]);
const SHOWN = new Set(["certificate-presented", "upstream-connected", "upstream-failed", "interrupted"]);

function takeOwn(record) {
  switch (record.kind) {
    case "listening":
      $("paste").hidden = $("stop").hidden = false;
      $("listen").textContent = "Show this";
      $("own-told").textContent = "Waiting for your client …";
      $("own-told").hidden = false;
      $("own-verdict").hidden = true;
      $("shows").textContent = `It will be shown “${record.certificate}”: ${record.title}. A correct client ${record.accepted ? "accepts it" : "leaves"}.`;
      $("target").textContent = record.target;
      $("ca").textContent = record.ca;
      $("commands").replaceChildren(...record.commands.map(command));
      $("certificate").value = record.certificate;
      own.captures = record.captures;
      drawCaptures($("own-captures"), "own/captures/", own);
      return;
    case "stopped":
      connections.clear();
      $("connections").replaceChildren();
      $("paste").hidden = $("stop").hidden = true;
      $("listen").textContent = "Listen";
      $("own-told").textContent = "Nobody listens.";
      $("own-told").hidden = false;
      $("own-verdict").hidden = true;
      drawCaptures($("own-captures"), "own/captures/", record);
      return;
    case "judged": {
      if (record.lost.length) drawCaptures($("own-captures"), "own/captures/", { ...own, lost: record.lost });
      const card = connectionCard(record.connection);
      card.item.classList.add(mooded(record.mood) || "quiet");
      card.verdict.textContent = record.verdict;
      card.reason.textContent = record.reason;
      judge(record);
      return;
    }
  }
  const card = connectionCard(record.connection);
  const box = OFFERED.has(record.kind) ? card.offered : SHOWN.has(record.kind) ? card.shown : card.did;
  box.append(...lines(record));
  if (record.chain?.valid) box.append(make("p", `for ${record.chain.names || "no name"}, ${record.chain.valid}`, "quiet"));
}

// A client is what its worst connection is.
function judge(record) {
  const box = $("own-verdict");
  box.className = `verdict ${mooded(record.so_far_mood)}`;
  box.querySelector("strong").textContent = record.so_far;
  const [told, more] = box.querySelectorAll("p");
  const all = record.so_far_mood === "good" ? "of all its connections so far" : `on connection ${record.worst}, the worst so far`;
  told.textContent = `That is what came ${all}.`;
  more.textContent = "It proves something if the client gets through when it is shown “genuine”. For everything that can be forged: mitm-demo audit";
  box.hidden = false;
  $("own-told").hidden = true;
}

function command({ does, command }) {
  const item = make("li");
  const button = make("button", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy the command of a client that ${does}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(item.querySelector("code"));
    }
  });
  // A line ends between two words, not before the hyphens of an option.
  const code = make("code");
  code.append(...command.split(" ").flatMap((word, place) => [place ? " " : "", make("span", word)]));
  item.append(make("span", `one that ${does}`), code, button);
  return item;
}

function connectionCard(number) {
  if (connections.has(number)) return connections.get(number);
  const item = make("li");
  const head = make("h2", `Connection ${number}`);
  const card = { item, verdict: make("b"), reason: make("small") };
  head.append(card.verdict, card.reason);
  const three = make("div", "", "three");
  for (const [key, title] of [["offered", "It offered"], ["shown", "It was shown"], ["did", "It did"]]) {
    card[key] = make("div");
    card[key].append(make("h3", title));
    three.append(card[key]);
  }
  item.append(head, three);
  $("connections").prepend(item);
  connections.set(number, card);
  if (connections.size > MOST_CONNECTIONS) {
    const oldest = connections.keys().next().value;
    connections.get(oldest).item.remove();
    connections.delete(oldest);
  }
  return card;
}

// ---- the class

const WORDS = { open: "open", red: "red", green: "green" };

function takeClass(record) {
  const head = make("tr");
  const corner = make("th", "Seat");
  corner.scope = "col";
  head.append(corner, ...record.exercises.map((name) => Object.assign(make("th", name), { scope: "col" })));
  const rows = record.rows.map((row) => {
    const line = make("tr");
    line.append(Object.assign(make("th", row.seat), { scope: "row" }));
    for (const name of record.exercises) {
      const cell = row.cells.find((each) => each.exercise === name);
      line.append(cell ? make("td", told(cell), cell.state, cell.stuck && "stuck") : make("td", ""));
    }
    return line;
  });
  const [top, body] = [make("thead"), make("tbody")];
  top.append(head);
  body.append(...rows);
  $("grid").replaceChildren(...(rows.length ? [top, body] : []));
  const stuck = record.rows.flatMap((row) => row.cells.filter((cell) => cell.stuck).map((cell) => [row.seat, cell]));
  $("stuck").replaceChildren(
    ...stuck.map(([seat, cell]) => make("li", `${seat} is stuck at ${cell.exercise}: ${minutes(cell)}, ${count(cell.tries, "try", "tries")}, ${count(cell.hints, "hint", "hints")}`)),
  );
  $("class-told").textContent = rows.length ? `${count(rows.length, "seat", "seats")}, ${stuck.length ? `${stuck.length} stuck` : "nobody stuck"}` : "Nobody has sent anything yet.";
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
const minutes = (cell) => `${cell.minutes} min`;

function told(cell) {
  if (cell.state === "open") return `open, ${minutes(cell)}`;
  return `${WORDS[cell.state]}, ${count(cell.tries, "try", "tries")}`;
}

// ---- all of it

function show(name) {
  for (const id of ["stage", "own", "class"]) $(id).hidden = id !== name;
  document.body.classList.toggle("at-stage", name === "stage");
  for (const button of document.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === name));
  }
}

function listen() {
  const source = new EventSource("events");
  const parts = { stage: takeStage, own: takeOwn, class: takeClass };
  source.addEventListener("message", (message) => {
    const record = JSON.parse(message.data);
    parts[record.part]?.(record);
  });
  source.addEventListener("open", () => say(""));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) {
      say("This seat is looked at by too many pages, or is gone: close another one, and load this anew.");
    } else {
      say("The room does not answer: is mitm-demo room still running?");
    }
  });
}

$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!stage.playing) send("play", { scenario: $("scenario").value, client: $("client").value });
});
$("reset").addEventListener("click", () => send("reset"));
$("client").addEventListener("change", showPlay);
$("scenario").addEventListener("change", showPlay);
$("next").addEventListener("click", step);
// By hand alone: what scrolls there by itself is in sight.
for (const way of ["wheel", "touchmove", "keyup", "pointerup"]) {
  $("diagram").addEventListener(way, () => { following = isBelow($("diagram")); }, { passive: true });
}
$("stepping").addEventListener("change", () => {
  if (!$("stepping").checked) while (queue.length) apply(queue.shift());
  sessionStorage.setItem("stepping", $("stepping").checked ? "yes" : "");
  // The next press of space is for the next step.
  $("stepping").blur();
  showWaiting();
});
$("presenting").addEventListener("submit", (event) => {
  event.preventDefault();
  send("own", { certificate: $("certificate").value });
});
$("stop").addEventListener("click", () => send("own/stop"));
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => show(button.dataset.view));
}
document.addEventListener("keydown", (event) => {
  const busy = event.target.closest?.("button, select, input, a, textarea");
  if (event.key === " " && $("stepping").checked && !$("stage").hidden && !busy) {
    event.preventDefault();
    step();
  }
});
show("stage");
// Nothing is given away by a page that is loaded anew.
$("stepping").checked = sessionStorage.getItem("stepping") === "yes";
clearStage();
choose();
listen();
