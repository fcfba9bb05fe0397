"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const {cases, columns, values, fields} = data;
const cellAt = (column, row) => {
  const packed = columns[column].cells[row];
  return packed && Object.fromEntries(fields.map((name, at) => [name, values[packed[at]]]));
};
const make = (tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
};
const unique = (list) => [...new Set(list)];

// How a cell looks: [class, sign, what it says].
function look(cell, case_) {
  const dot = cell.did === "took" ? "●" : "";
  switch (cell.kept) {
    case "kept": return ["kept", dot, cell.did === "took" ? "let in, as promised" : "turned away, as promised"];
    case "broken": {
      const said = cell.did === "took" ? "let in, against its policy" : "turned away, against its policy";
      return cell.binding ? ["broken", dot || "×", said] : ["lesser", dot || "×", said + " (good clients do better)"];
    }
    case "crashed": return ["crashed", "!", "it ended, or hung: " + cell.crash];
    case "undecided": return ["undecided", "?", "nothing is proved"];
    case "untried": return ["untried", "–", "not tried: " + cell.outcome];
  }
  if (cell.did === "took" && case_.expect === "reject" && case_.severity !== "info")
    return ["given", dot, "let in: the policy promises nothing"];
  return ["open", dot, cell.did === "took" ? "let in; sound clients differ, or the policy leaves it open"
    : "turned away; sound clients differ, or the policy leaves it open"];
}

// --- the wall ---
const head = document.querySelector("thead"), body = document.querySelector("tbody");
const names = make("tr"), policies = make("tr");
names.append(make("th", "", "corner"));
const corner = make("th", data.name, "corner");
policies.append(corner);
const heads = [], clientHeads = [];
columns.forEach((column, at) => {
  const first = at === 0 || columns[at - 1].client !== column.client;
  if (first) {
    const client = make("th", column.client, "client");
    client.title = [column.title, column.version || column.stack].filter(Boolean).join("\n");
    client.dataset.client = column.client;
    clientHeads.push(client);
    names.append(client);
  }
  const th = make("th", undefined, "policy" + (first ? " first" : "") + (column.state === "tried" ? "" : " none"));
  th.append(make("span", column.policy));
  th.title = column.state === "tried" ? column.client + ", " + column.policy : column.state + ": " + column.reason;
  heads.push(th);
  policies.append(th);
});
head.append(names, policies);

const rows = [];
let family = "";
const familyRows = {};
cases.forEach((case_, row) => {
  if (!columns.some((column) => column.cells[row])) return;
  if (case_.family !== family) {
    family = case_.family;
    const line = make("tr");
    line.append(make("th", family, "family"));
    familyRows[family] = line;
    body.append(line);
  }
  const line = make("tr"), th = make("th", case_.name);
  th.append(make("small", (case_.expect === "reject" ? "" : "sound, ") + case_.severity));
  th.title = case_.title;
  line.append(th);
  const cells = columns.map((column, at) => {
    const cell = cellAt(at, row), td = make("td");
    if (at === 0 || columns[at - 1].client !== column.client) td.classList.add("first");
    if (!cell) { td.classList.add("absent"); line.append(td); return td; }
    const [name, sign, said] = look(cell, case_);
    td.classList.add(name);
    td.textContent = sign;
    td.tabIndex = -1;
    td.dataset.row = row;
    td.dataset.column = at;
    td.title = column.client + ", " + column.policy + ", " + case_.name + ": " + said;
    line.append(td);
    return td;
  });
  body.append(line);
  rows.push({row, case_, line, cells});
});
const firstCell = body.querySelector("td[data-row]");
if (firstCell) firstCell.tabIndex = 0;

// --- filters ---
const chosen = {family: new Set(), client: new Set(), policy: new Set(), severity: new Set()};
const only = {differing: false, wrong: false};
let sought = "";
const form = document.getElementById("filters");
function chips(label, key, words) {
  form.append(make("span", label));
  const box = make("div");
  for (const word of words) {
    const chip = make("button", word, "chip");
    chip.type = "button";
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => {
      const on = !chosen[key].delete(word);
      if (on) chosen[key].add(word);
      chip.setAttribute("aria-pressed", String(on));
      apply();
    });
    box.append(chip);
  }
  form.append(box);
}
chips("client", "client", unique(columns.map((each) => each.client)));
chips("policy", "policy", unique(columns.map((each) => each.policy)));
chips("family", "family", unique(rows.map((each) => each.case_.family)));
chips("severity", "severity", ["must", "should", "info"].filter((each) => rows.some((row) => row.case_.severity === each)));
form.append(make("span", "rows"));
const more = make("div");
for (const [key, label] of [["wrong", "where something is not as promised"], ["differing", "where clients differ under one policy"]]) {
  const chip = make("button", label, "chip all");
  chip.type = "button";
  chip.setAttribute("aria-pressed", "false");
  chip.addEventListener("click", () => {
    only[key] = !only[key];
    chip.setAttribute("aria-pressed", String(only[key]));
    apply();
  });
  more.append(chip);
}
const search = make("input");
search.type = "search";
search.placeholder = "name or title";
search.setAttribute("aria-label", "name or title");
search.addEventListener("input", () => { sought = search.value.toLowerCase(); apply(); });
more.append(search);
form.append(more);
form.addEventListener("submit", (event) => event.preventDefault());

const passes = (key, word) => chosen[key].size === 0 || chosen[key].has(word);
function differs(row, shown) {
  const deeds = {};
  for (const at of shown) {
    const cell = cellAt(at, row);
    if (cell && cell.did) (deeds[columns[at].policy] ||= new Set()).add(cell.did);
  }
  return Object.values(deeds).some((each) => each.size > 1);
}
function apply() {
  const shown = [];
  columns.forEach((column, at) => {
    const visible = passes("client", column.client) && passes("policy", column.policy);
    heads[at].hidden = !visible;
    if (visible) shown.push(at);
  });
  for (const client of clientHeads) {
    const span = shown.filter((at) => columns[at].client === client.dataset.client).length;
    client.hidden = span === 0;
    client.colSpan = span || 1;
  }
  const visible = new Set(shown), families = new Set();
  for (const {row, case_, line, cells} of rows) {
    const wrong = () => shown.some((at) => ["broken", "crashed", "undecided"].includes((cellAt(at, row) || {}).kept));
    const keep = passes("family", case_.family) && passes("severity", case_.severity)
      && (case_.name + " " + case_.title).toLowerCase().includes(sought)
      && (!only.wrong || wrong()) && (!only.differing || differs(row, shown));
    line.hidden = !keep;
    if (keep) families.add(case_.family);
    cells.forEach((td, at) => { td.hidden = !visible.has(at); });
  }
  for (const [name, line] of Object.entries(familyRows)) line.hidden = !families.has(name);
}

// --- what was seen ---
const detail = document.getElementById("detail");
function choose(td) {
  document.querySelectorAll("td.chosen").forEach((each) => each.classList.remove("chosen"));
  body.querySelectorAll("td[tabindex='0']").forEach((each) => { each.tabIndex = -1; });
  td.classList.add("chosen");
  td.tabIndex = 0;
  show(Number(td.dataset.column), Number(td.dataset.row));
}
function part(title, ...content) {
  detail.append(make("h3", title), ...content);
}
function show(at, row) {
  const column = columns[at], case_ = cases[row], cell = cellAt(at, row);
  const [name, , said] = look(cell, case_);
  detail.replaceChildren(make("h2", case_.title), make("p", case_.name + " · " + case_.family + " · " + case_.severity, "faint"));
  const badge = make("span", said, "badge " + name);
  part(column.client + ", " + column.policy, badge, make("p", column.title + (column.version ? " — " + column.version : ""), "faint"));
  const promise = {take: "lets it in", refuse: "turns it away", open: "is free to do either"}[cell.promise];
  part("What the policy promises", make("p", "A client of this policy " + promise + "."));
  if (case_.rule) part("The rule", make("p", case_.rule));
  const list = make("ul");
  case_.presented.forEach((each) => list.append(make("li", each)));
  if (case_.issuer) list.append(make("li", "issued by " + case_.issuer));
  part(case_.family === "sequence" || case_.family === "configuration" ? "What it is played with" : "What was presented", list);
  part("What the client did on the wire", make("p", cell.reason));
  const evidence = cell.evidence;
  if (evidence) {
    const ends = make("ul");
    for (const each of evidence.connections) {
      let told = each.accepted ? "completed the handshake" : "left in phase " + each.phase;
      if (each.certificate) told = "shown " + each.certificate + ": " + told;
      if (each.alert) told += ", alert " + each.alert;
      told += each.reached === "nothing" ? "; sent nothing" : "; read of it: " + each.reached;
      ends.append(make("li", told + (each.resumed ? "; resumed a session" : "")));
    }
    detail.append(ends);
    for (const call of evidence.calls) {
      const metadata = Object.entries(call.metadata).map(([key, value]) => key + ": " + value);
      detail.append(make("pre", [call.method, ...metadata].join("\n")));
    }
  }
  if (cell.code || cell.message) part("What it said", make("pre", [cell.code, cell.message].filter(Boolean).join(": ")));
  const others = make("div", undefined, "others");
  columns.forEach((other, where) => {
    const its = other.policy === column.policy && where !== at && cellAt(where, row);
    if (!its) return;
    const [style, sign] = look(its, case_);
    others.append(make("span", (sign ? sign + " " : "") + other.client, style));
  });
  if (others.children.length) part("The same elsewhere, under " + column.policy, others);
}
body.addEventListener("click", (event) => {
  const td = event.target.closest("td[data-row]");
  if (td) choose(td);
});
body.addEventListener("keydown", (event) => {
  const td = event.target.closest("td[data-row]");
  if (!td) return;
  let next = null;
  const place = [...td.parentNode.children].indexOf(td);
  const along = (from, key, pick) => {
    for (let each = from[key]; each; each = each[key]) {
      const found = pick(each);
      if (found && !found.hidden && found.dataset && found.dataset.row) return found;
    }
    return null;
  };
  const inLine = (line) => (line.hidden ? null : line.children[place]);
  if (event.key === "ArrowRight") next = along(td, "nextElementSibling", (each) => each);
  if (event.key === "ArrowLeft") next = along(td, "previousElementSibling", (each) => each);
  if (event.key === "ArrowDown") next = along(td.parentNode, "nextElementSibling", inLine);
  if (event.key === "ArrowUp") next = along(td.parentNode, "previousElementSibling", inLine);
  if (next) { event.preventDefault(); next.focus(); choose(next); }
});

// --- about ---
const counts = {};
columns.forEach((_, at) => cases.forEach((_case, row) => {
  const cell = cellAt(at, row);
  if (cell) counts[cell.kept] = (counts[cell.kept] || 0) + 1;
}));
const total = Object.values(counts).reduce((a, b) => a + b, 0);
document.getElementById("about").textContent = unique(columns.map((each) => each.client)).length + " clients, "
  + unique(columns.map((each) => each.policy)).length + " policies, " + rows.length + " things presented: " + total
  + " cells. Made by " + data.tool.name + " " + data.tool.version + ".";
const legend = document.getElementById("legend");
for (const [name, sign, said] of [
  ["kept", "", "turned away, as promised"], ["kept", "●", "let in, as promised"], ["broken", "●", "let in, against its policy"],
  ["broken", "×", "turned away, though sound"], ["lesser", "●", "good clients do better"],
  ["given", "●", "let in: nothing was promised"], ["open", "●", "sound clients differ, or it is left open"], ["crashed", "!", "it ended, or hung"],
  ["undecided", "?", "nothing is proved"], ["untried", "–", "does not apply, or cannot be presented"]]) {
  const item = make("span");
  item.append(make("b", sign, name), said);
  legend.append(item);
}
apply();
