// The console's page: reads JSON documents every few seconds and updates what has changed.
"use strict";

const TOKEN = document.querySelector('meta[name="console-token"]').content;
const VIEW = document.getElementById("view");
const collapsed = new Set(); // URNs whose children are hidden
const ui = { filter: "", criticalOnly: false, build: null, approval: "" };
const logs = new Map(); // build ID → { lines, next, running }
const LOG_LINES = 5000;

// ---- Elements ------------------------------------------------------------------------------

// Create an element. Properties: on<event>, vars (CSS variables), key (identity), or attributes.
function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) listen(element, name.slice(2), value);
    else if (name === "vars") setVariables(element, value);
    else if (name === "key") element._key = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

function listen(element, type, handler) {
  element._on ??= {};
  if (!element._on[type]) element.addEventListener(type, (event) => element._on[type]?.(event));
  element._on[type] = handler;
}

function setVariables(element, variables) {
  element._vars = variables;
  for (const [name, value] of Object.entries(variables)) element.style.setProperty(name, value);
}

// Change `from` into `to` and keep its elements, so that focus, scroll and selection stay.
function morph(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes]) {
    if (name !== "style" && !to.hasAttribute(name)) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (name !== "style" && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  if (to._vars) setVariables(from, to._vars);
  for (const type of Object.keys(from._on || {})) if (!to._on?.[type]) delete from._on[type];
  for (const [type, handler] of Object.entries(to._on || {})) listen(from, type, handler);
  if (/^(INPUT|TEXTAREA)$/.test(from.tagName) && from !== document.activeElement) from.value = to.value;
  morphChildren(from, [...to.childNodes]);
}

function morphChildren(parent, children) {
  const keyed = new Map([...parent.childNodes].filter((node) => node._key).map((node) => [node._key, node]));
  let place = parent.firstChild;
  for (const child of children) {
    let match = child._key ? keyed.get(child._key) : place;
    if (match && !same(match, child)) match = null;
    if (!match) {
      parent.insertBefore(child, place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else parent.insertBefore(match, place);
    morph(match, child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && a._key === b._key;

// ---- Requests ------------------------------------------------------------------------------

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Console-Token": TOKEN },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The console does not respond; run `sandbox console` again.");
  }
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  return content;
}

let toastTimer;
function toast(message) {
  const element = document.getElementById("toast");
  element.textContent = message;
  element.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { element.hidden = true; }, 8000);
}

// Send a change, say what happened, and read the view again.
async function change(button, path, body, message) {
  button.disabled = true;
  try {
    const result = await call(path, body);
    toast(message);
    return result;
  } catch (error) {
    toast(error.message);
    return null;
  } finally {
    button.disabled = false;
    refresh();
  }
}

// ---- Texts ---------------------------------------------------------------------------------

const KINDS = {
  good: ["succeeded", "ready", "true"],
  bad: ["failed", "interrupted", "stopped", "abandoned", "cancelled"],
  live: ["running", "inprogress", "stopping", "creating", "updating", "deleting", "replacing", "reading", "importing"],
  warn: ["waiting for approval", "superseded", "replaced, to be deleted", "stopping", "transition disabled"],
};
const WORDS = { InProgress: "in progress", "": "not started" };

function statusKind(status) {
  const word = status.toLowerCase();
  return Object.keys(KINDS).find((kind) => KINDS[kind].includes(word)) || "none";
}

function status(value) {
  return h("span", { class: `status ${statusKind(value)}` }, WORDS[value] ?? value.toLowerCase());
}

function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  let text = "just now";
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (past < length) continue;
    const count = Math.floor(past / length);
    text = `${count} ${unit}${count > 1 ? "s" : ""} ago`;
    break;
  }
  const moment = new Date(seconds * 1000);
  return h("time", { datetime: moment.toISOString(), title: moment.toLocaleString(), class: "nowrap" }, text);
}

const shortType = (type) => type.replace(/^([^:]+):([^/:]+)(\/[^:]+)?:/, (all, name, module) => (module === "index" ? `${name}:` : `${name}:${module}:`));
const IMAGE_TYPE = /^$|image/; // other media types are artifacts, such as an SBOM
const megabytes = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const DONE = { create: "created", update: "updated", replace: "replaced", delete: "deleted", import: "imported" };
const changes = (counts) => Object.entries(counts).map(([op, count]) => `${count} ${DONE[op] || op}`).join(", ") || "no changes";

function empty(title, text, command) {
  return h("div", { class: "card empty" }, h("h2", {}, title), h("p", { class: "soft" }, text), command && h("code", {}, command));
}

// ---- Views ---------------------------------------------------------------------------------

const TABS = [["resources", "Resources"], ["timeline", "Timeline"], ["pipeline", "Pipeline"], ["outputs", "Outputs"], ["history", "History"]];

function stackHead(name, tab, running, ...extra) {
  return [
    h("div", { class: "head" }, h("h1", {}, `Stack ${name}`), running ? status("running") : null, running && h("span", { class: "soft" }, running), h("span", { class: "grow" }), extra),
    h("nav", { class: "tabs", "aria-label": `Views of stack ${name}` }, h("ul", {}, TABS.map(([id, title]) =>
      h("li", {}, h("a", { href: `#/stacks/${name}/${id}`, "aria-current": id === tab && "page" }, title))))),
  ];
}

function overviewView(overview) {
  const cards = overview.stacks.map((stack) => h(stack.exists ? "a" : "div", { class: "card", href: stack.exists && `#/stacks/${stack.name}`, key: stack.name },
    h("div", { class: "head" }, h("h2", {}, stack.name), h("span", { class: "grow" }),
      stack.running ? status("running") : stack.last ? status(stack.last.result) : status("not created")),
    stack.exists
      ? h("p", { class: "small" }, `${stack.resources} resources`, stack.pipeline ? " · pipeline" : "")
      : h("p", { class: "small" }, "Run ", h("code", {}, `sandbox up ${stack.name}`), " to create it."),
    h("p", { class: "small soft" }, stack.running ? `${stack.running} is running` : stack.last ? [`${stack.last.kind} `, ago(stack.last.ended ?? stack.last.started), ` · ${changes(stack.last.changes)}`] : "never up")));
  return h("div", { class: "gap" },
    h("div", { class: "head" }, h("h1", {}, `Stacks of ${overview.project}`)),
    !overview.background && h("p", { class: "notice" }, "The background process does not run: pipelines and images cannot be shown. `sandbox up STACK` starts it."),
    cards.length ? h("div", { class: "grid" }, cards) : empty("No stacks", "This project has no stack file. Write the first one:", "sandbox new dev"));
}

function resourcesView(document, name) {
  const children = new Map();
  const urns = new Set(document.resources.map((item) => item.urn));
  for (const item of document.resources) {
    const parent = urns.has(item.parent) ? item.parent : "";
    children.set(parent, [...(children.get(parent) || []), item]);
  }
  const words = ui.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (item) => words.every((word) => `${item.name} ${item.type} ${item.id} ${item.status}`.toLowerCase().includes(word));
  const shown = new Set();
  const mark = (item) => {
    const below = (children.get(item.urn) || []).map(mark).some(Boolean);
    if (below || matches(item)) shown.add(item.urn);
    return shown.has(item.urn);
  };
  (children.get("") || []).forEach(mark);
  const rows = (parent, level) => (children.get(parent) || []).filter((item) => shown.has(item.urn)).map((item) => {
    const nested = children.has(item.urn);
    const open = words.length > 0 || !collapsed.has(item.urn);
    const toggle = () => { collapsed.has(item.urn) ? collapsed.delete(item.urn) : collapsed.add(item.urn); render(); };
    return h("li", { key: item.urn },
      h("div", { class: "row", vars: { "--level": level } },
        h("div", { class: `name${nested ? "" : " leaf"}` },
          nested && h("button", { class: "twist", type: "button", "aria-expanded": String(open), "aria-label": `Children of ${item.name}`, onclick: toggle }),
          h("span", { class: "one", title: item.name }, item.name)),
        h("div", { class: "type soft one", title: item.type }, shortType(item.type)),
        h("div", { class: "id mono soft one", title: item.id }, item.id),
        h("div", { class: "state" }, status(item.status)),
        item.error && h("p", { class: "error" }, item.error)),
      nested && open && h("ul", {}, rows(item.urn, level + 1)));
  });
  const busy = document.resources.filter((item) => statusKind(item.status) === "live").length;
  const failed = document.resources.filter((item) => item.status === "failed").length;
  const tree = rows("", 0);
  return h("div", {}, stackHead(name, "resources", document.running),
    document.resources.length === 0
      ? empty("No resources", "This stack is empty.", `sandbox up ${name}`)
      : h("div", { class: "card" },
        h("div", { class: "bar-line" },
          h("input", { type: "search", placeholder: "Filter by name, type, ID or status", "aria-label": "Filter resources", value: ui.filter, oninput: (event) => { ui.filter = event.target.value; render(); } }),
          h("span", { class: "grow" }),
          h("span", { class: "soft small num" }, `${document.resources.length} resources`, busy ? ` · ${busy} in progress` : "", failed ? ` · ${failed} failed` : "")),
        h("div", { class: "row columns", "aria-hidden": "true" }, h("span", {}, "Name"), h("span", {}, "Type"), h("span", {}, "Physical ID"), h("span", {}, "Status")),
        tree.length ? h("ul", { class: "tree" }, tree) : h("p", { class: "pad soft" }, "No resource matches the filter.")));
}

function timelineView(timeline, name, running) {
  const head = stackHead(name, "timeline", running);
  if (!timeline) return h("div", {}, head, empty("No timeline", "The next operation on this stack is recorded.", `sandbox up ${name}`));
  const scale = Math.max(timeline.seconds, 0.1);
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((size) => scale / size <= 5) || 3600;
  const ticks = [];
  for (let at = 0; at < scale * 0.97; at += step) ticks.push(h("span", { class: "tick", vars: { "--at": at / scale } }, `${+at.toFixed(1)} s`));
  const bars = timeline.bars.filter((bar) => !ui.criticalOnly || bar.critical);
  const fact = (term, value) => h("div", {}, h("dt", {}, term), h("dd", { class: "num" }, value));
  return h("div", { class: "gap" }, h("div", {}, head),
    h("dl", { class: "facts" },
      fact("Operation", `${timeline.kind} (${timeline.engine})`), fact("Result", status(timeline.result)), fact("Started", ago(timeline.started)),
      fact("Duration", duration(timeline.seconds)), fact("Critical path", duration(timeline.critical_seconds)), fact("Resources", timeline.bars.length)),
    timeline.bars.length === 0 ? empty("No changes", "The last operation changed no resource.", `sandbox up ${name}`)
      : h("div", { class: "card" },
        h("div", { class: "bar-line" }, h("span", { class: "key critical" }, "critical path"), h("span", { class: "key" }, "other resources"), h("span", { class: "grow" }),
          h("label", { class: "check small" }, h("input", { type: "checkbox", checked: ui.criticalOnly, onchange: (event) => { ui.criticalOnly = event.target.checked; render(); } }), "Critical path only")),
        h("div", { class: "chart" },
          h("div", { class: "lane axis", "aria-hidden": "true" }, h("span", { class: "label" }, "Resource"), h("div", { class: "track" }, ticks), h("span", {})),
          h("ol", {}, bars.map((bar) => h("li", { key: `${bar.urn} ${bar.op}`, class: `lane${bar.critical ? " critical" : ""}${bar.error ? " bad" : ""}`, title: `${bar.op} ${bar.type} ${bar.name}, from ${bar.start.toFixed(1)} s, ${duration(bar.seconds)}${bar.error ? `: ${bar.error}` : ""}` },
            h("span", { class: "label" }, h("span", { class: "one" }, bar.name), h("span", { class: "soft one" }, `${bar.op === "create" ? "" : `${bar.op} `}${shortType(bar.type)}`)),
            h("div", { class: "track" }, h("div", { class: "bar", vars: { "--at": bar.start / scale, "--wide": bar.seconds / scale } })),
            h("span", { class: "num soft" }, bar.running ? "…" : duration(bar.seconds))))))));
}

function outputsView(document, name) {
  return h("div", {}, stackHead(name, "outputs", document.running),
    document.outputs.length === 0 ? empty("No outputs", "The program exports none yet.", `sandbox up ${name}`)
      : h("div", { class: "card" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Output"), h("th", {}, "Value"))),
        h("tbody", {}, document.outputs.map((item) => h("tr", { key: item.name }, h("th", { scope: "row" }, item.name),
          h("td", { class: "mono" }, item.secret ? h("span", { class: "soft" }, `secret: sandbox output ${name} ${item.name} --show-secrets`) : [item.value, item.local_url && h("div", {}, "answers at ", h("a", { href: item.local_url, rel: "noreferrer" }, item.local_url))])))))));
}

function historyView(document, name) {
  return h("div", {}, stackHead(name, "history", document.running),
    document.history.length === 0 ? empty("No operations", "No operation on this stack has ended.", `sandbox up ${name}`)
      : h("div", { class: "card" }, h("table", {},
        h("thead", {}, h("tr", {}, ["Operation", "Result", "Changes", "Started", "Duration", "Message"].map((title) => h("th", {}, title)))),
        h("tbody", {}, document.history.map((item) => h("tr", { key: `${item.started} ${item.kind} ${item.ended}` },
          h("th", { scope: "row" }, item.kind), h("td", {}, status(item.result)), h("td", {}, changes(item.changes)), h("td", {}, ago(item.started)),
          h("td", { class: "num" }, duration(item.ended - item.started)), h("td", {}, item.message)))))));
}

function actionView(stack, pipeline, stage, action) {
  const live = action.status === "InProgress" && pipeline.execution?.live;
  const seconds = action.started && (action.ended ?? Date.now() / 1000) - action.started;
  const path = `/api/stacks/${stack}/pipeline`;
  const body = { execution: pipeline.execution?.id, stage: stage.name, action: action.name };
  const decide = (decision) => async (event) => {
    await change(event.target, `${path}/approval`, { ...body, decision, summary: ui.approval }, `${decision} ${stage.name}/${action.name}.`);
    ui.approval = "";
  };
  return h("div", { class: "action", key: action.name },
    h("div", { class: "top-line" }, h("strong", {}, action.name), h("span", { class: "num soft small" }, action.started ? duration(seconds) : "")),
    h("div", { class: "top-line" }, status(action.waiting ? "waiting for approval" : action.status), h("span", { class: "soft small" }, action.provider.replace("CodeStarSource", ""))),
    action.error ? h("p", { class: "bad-text" }, action.error) : action.summary && !action.summary.startsWith("Build ") && h("p", { class: "soft" }, action.summary),
    action.build && h("div", {}, h("button", { class: "link", type: "button", "aria-pressed": String(ui.build === action.build), onclick: () => { ui.build = action.build; refresh(); } }, live ? "Follow log" : "Log")),
    action.waiting && h("div", { class: "approval" },
      action.request && h("pre", { tabindex: "0" }, action.request),
      action.link && h("a", { href: action.link, rel: "noreferrer" }, "Review"),
      h("textarea", { rows: 2, maxlength: 512, "aria-label": "Comment", placeholder: "Comment", value: ui.approval, oninput: (event) => { ui.approval = event.target.value; } }),
      h("div", { class: "buttons" },
        h("button", { class: "primary", type: "button", onclick: decide("Approved") }, "Approve"),
        h("button", { class: "danger", type: "button", onclick: decide("Rejected") }, "Reject"))));
}

function pipelineView(pipeline, stack, running) {
  const head = stackHead(stack, "pipeline", running);
  if (!pipeline) return h("div", {}, head, empty("No pipeline", "This stack has no pipeline.", `sandbox up ${stack}`));
  const path = `/api/stacks/${stack}/pipeline`, execution = pipeline.execution;
  const send = (suffix, body, message) => async (event) => {
    const result = await change(event.target, path + suffix, body, message);
    if (result?.execution) location.hash = `#/stacks/${stack}/pipeline/${result.execution}`;
  };
  const stages = pipeline.stages.map((stage) => {
    const waits = stage.actions.some((action) => action.waiting);
    const shown = waits ? "waiting for approval" : stage.status;
    return h("section", { class: `card stage ${statusKind(shown)}`, key: stage.name, "aria-label": `Stage ${stage.name}` },
      h("header", {}, h("h3", {}, stage.name), status(shown)),
      !stage.enabled && h("p", { class: "notice small" }, `The transition is disabled${stage.reason ? `: ${stage.reason}` : "."}`),
      stage.actions.map((action) => actionView(stack, pipeline, stage, action)),
      execution && !execution.live && stage.status === "Failed" && h("div", { class: "action" },
        h("button", { type: "button", onclick: send("/retry", { execution: execution.id, stage: stage.name }, `${stage.name} is retried.`) }, "Retry failed actions")));
  });
  return h("div", { class: "gap" }, h("div", {}, head),
    h("div", { class: "head" }, h("div", {}, h("h2", {}, pipeline.name), h("p", { class: "soft small" }, `version ${pipeline.version} · execution mode ${pipeline.mode.toLowerCase()}`)),
      h("span", { class: "grow" }),
      h("div", { class: "buttons" },
        h("button", { class: "primary", type: "button", title: "Push HEAD of the project to the pipeline's source", onclick: send("/release", {}, "HEAD is released.") }, "Release HEAD"),
        h("button", { type: "button", title: "Run the newest source again", onclick: send("/start", {}, "An execution is started.") }, "Start"),
        h("button", { class: "danger", type: "button", disabled: !execution?.live, onclick: send("/stop", { execution: execution?.id, abandon: true }, "The execution is stopped.") }, "Stop"))),
    execution && h("dl", { class: "facts" },
      h("div", {}, h("dt", {}, "Execution"), h("dd", { class: "mono" }, execution.id.slice(0, 8))),
      h("div", {}, h("dt", {}, "Status"), h("dd", {}, status(execution.status))),
      h("div", {}, h("dt", {}, "Commit"), h("dd", {}, h("span", { class: "mono" }, execution.commit.slice(0, 12) || "none"), execution.subject && ` ${execution.subject}`)),
      h("div", {}, h("dt", {}, "Duration"), h("dd", { class: "num" }, duration((execution.live ? Date.now() / 1000 : execution.updated) - execution.started)))),
    execution?.summary && !pipeline.stages.some((stage) => stage.actions.some((action) => action.error)) && h("p", { class: "notice" }, execution.summary),
    h("div", { class: "stages" }, stages),
    logView(pipeline),
    h("div", { class: "card" }, h("div", { class: "bar-line" }, h("h2", {}, "Executions")),
      pipeline.executions.length === 0 ? h("p", { class: "pad soft" }, "No execution yet: “Release HEAD”, or run ", h("code", {}, `sandbox release ${stack}`), ".")
        : h("table", {}, h("thead", {}, h("tr", {}, ["Execution", "Status", "Commit", "Trigger", "Started", "Duration"].map((title) => h("th", {}, title)))),
          h("tbody", {}, pipeline.executions.map((item) => h("tr", { key: item.id, "aria-current": item.id === execution?.id && "true" },
            h("th", { scope: "row" }, h("a", { class: "mono", href: `#/stacks/${stack}/pipeline/${item.id}` }, item.id.slice(0, 8))), h("td", {}, status(item.status)),
            h("td", {}, h("span", { class: "mono" }, item.commit.slice(0, 12)), item.subject && ` ${item.subject}`), h("td", { class: "small soft" }, item.trigger), h("td", {}, ago(item.started)),
            h("td", { class: "num" }, duration((item.live ? Date.now() / 1000 : item.updated) - item.started))))))));
}

function logView(pipeline) {
  const builds = pipeline.stages.flatMap((stage) => stage.actions.filter((action) => action.build).map((action) => ({ stage, action })));
  const chosen = builds.find(({ action }) => action.build === ui.build);
  const log = chosen && logs.get(ui.build);
  return h("section", { class: "card log", "aria-label": "Build log" },
    h("div", { class: "bar-line" }, h("h2", {}, "Build log"), chosen && h("span", {}, `${chosen.stage.name}/${chosen.action.name}`), log?.running && status("running"), h("span", { class: "grow" }), log && h("span", { class: "soft small num" }, `${log.next} lines`)),
    h("pre", { tabindex: "0", class: "output" }, chosen ? (log ? log.lines.join("\n") || "The log is empty." : "Reading the log.") : builds.length ? "Select the log of an action." : "No build has started in this execution."));
}

function imagesView(images) {
  const repositories = images.repositories;
  const short = (digest) => digest.slice(0, 19);
  return h("div", { class: "gap" }, h("div", { class: "head" }, h("h1", {}, "Images")),
    images.problems.map((problem) => h("p", { class: "notice" }, problem)),
    repositories.length === 0 && images.problems.length === 0 && empty("No repositories", "No stack has an ECR repository.", "sandbox up dev"),
    repositories.map((repository) => h("section", { class: "card", key: repository.name },
      h("div", { class: "bar-line" }, h("h2", {}, repository.name), h("span", { class: "grow" }), h("span", { class: "soft small" }, `stack ${repository.stack} · ${repository.images.length} images`)),
      repository.images.length === 0 ? h("p", { class: "pad soft" }, "No images yet: ", h("code", {}, `sandbox release ${repository.stack}`), " pushes one.")
        : h("table", {}, h("thead", {}, h("tr", {}, ["Digest", "Tags", "Runs in", "Size", "Pushed"].map((title) => h("th", {}, title)))),
          h("tbody", {}, repository.images.map((image) => h("tr", { key: image.digest },
            h("th", { scope: "row", class: "mono", title: image.digest }, short(image.digest)),
            h("td", {}, image.tags.map((tag) => h("span", { class: "tag mono" }, tag)), image.tags.length === 0 && h("span", { class: "soft small" }, IMAGE_TYPE.test(image.media_type) ? "untagged" : `untagged, ${image.media_type}`)),
            h("td", {}, image.containers.length === 0 ? h("span", { class: "soft small" }, "not running") : image.containers.map((item) => h("div", { class: "small" }, status(item.ready ? "ready" : "waiting"), ` ${item.stack}: ${item.namespace}/${item.pod}`))),
            h("td", { class: "num" }, megabytes(image.size)), h("td", {}, image.pushed && ago(image.pushed)))))))));
}

// ---- Reading and showing -------------------------------------------------------------------

let documents = {}; // what the current view has read
let failure = "";

function route() {
  const [, area, stack, tab, item] = location.hash.split("/").map(decodeURIComponent);
  if (area === "images") return { area };
  if (area === "stacks" && stack) return { area, stack, tab: TABS.some(([id]) => id === tab) ? tab : "resources", item };
  return { area: "overview" };
}

async function read({ area, stack, tab, item }) {
  const path = `/api/stacks/${encodeURIComponent(stack)}`;
  const found = { overview: await call("/api/overview") };
  found.running = found.overview.stacks.find((entry) => entry.name === stack)?.running || "";
  if (area === "images") found.images = await call("/api/images");
  else if (tab === "timeline") found.timeline = await call(`${path}/timeline`);
  else if (tab === "pipeline") {
    found.pipeline = await call(`${path}/pipeline${item ? `?execution=${encodeURIComponent(item)}` : ""}`);
    await readLog(path, found.pipeline);
  } else if (area === "stacks") found.stack = await call(path);
  return found;
}

// Read the chosen build's log; by default that of the running or failed build.
async function readLog(path, pipeline) {
  const actions = (pipeline?.stages || []).flatMap((stage) => stage.actions).filter((action) => action.build);
  const current = actions.findLast((action) => action.status === "InProgress") || actions.findLast((action) => action.status === "Failed");
  const chosen = actions.find((action) => action.build === ui.build);
  if (!chosen || (ui.followed === ui.build && current)) ui.followed = ui.build = current?.build ?? null;
  if (!ui.build) return;
  const log = logs.get(ui.build) || { lines: [], next: 0, running: true };
  if (log.next && !log.running) return;
  const page = await call(`${path}/log?build=${encodeURIComponent(ui.build)}&after=${log.next}`);
  logs.set(ui.build, { lines: [...log.lines, ...page.lines].slice(-LOG_LINES), next: page.next, running: page.running });
}

function content({ area, stack, tab }) {
  if (area === "overview") return overviewView(documents.overview);
  if (area === "images") return imagesView(documents.images);
  if (tab === "timeline") return timelineView(documents.timeline, stack, documents.running);
  if (tab === "pipeline") return pipelineView(documents.pipeline, stack, documents.running);
  return { resources: resourcesView, outputs: outputsView, history: historyView }[tab](documents.stack, stack);
}

function render() {
  const at = route();
  const nav = [...(documents.overview?.stacks || []).filter((stack) => stack.exists).map((stack) => [`#/stacks/${stack.name}`, stack.name, at.stack === stack.name, stack.running]), ["#/images", "Images", at.area === "images", ""]];
  morphChildren(document.getElementById("nav"), [h("ul", {}, nav.map(([href, title, current, running]) => h("li", { key: href }, h("a", { href, "aria-current": current && "page" }, title, running && h("span", { class: "status live", title: `${running} is running` })))))]);
  const ready = documents.at === location.hash;
  document.title = `${at.stack || (at.area === "images" ? "Images" : "Stacks")} · Sandbox console`;
  const bottom = [...document.querySelectorAll(".output")].every((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40);
  const parts = failure ? [h("div", { class: "gap" }, at.stack ? h("div", {}, stackHead(at.stack, at.tab, "")) : null, h("p", { class: "notice", role: "alert" }, failure))] : ready ? [content(at)] : null;
  if (parts) { parts[0]._key = `${at.area}/${at.stack}/${at.tab}`; morphChildren(VIEW, parts); }
  if (bottom) for (const log of document.querySelectorAll(".output")) log.scrollTop = log.scrollHeight;
}

let timer, generation = 0;
async function refresh() {
  clearTimeout(timer);
  const mine = ++generation, hash = location.hash;
  try {
    const found = await read(route());
    if (mine !== generation) return;
    documents = { ...found, at: hash };
    failure = "";
  } catch (error) {
    if (mine !== generation) return;
    failure = error.message;
  }
  render();
  const live = documents.running || documents.pipeline?.executions.some((execution) => execution.live);
  if (!document.hidden) timer = setTimeout(refresh, live ? 700 : 2500);
}

addEventListener("hashchange", () => { failure = ""; VIEW.focus({ preventScroll: true }); scrollTo(0, 0); render(); refresh(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
