// One visit: files in, the scan and the answer out. Nothing is kept but in this tab.

import { SliceViewer } from "/page/slices.js";
import { VolumeViewer } from "/page/volumes.js";

const words = await (await fetch("/page/words.json")).json();
const at = (id) => document.getElementById(id);
const state = { files: [], answer: null, kind: "", scan: 1, token: "", model: null, stop: null };

const slices = new SliceViewer(at("slice"), at("zoom"));
const volumes = new VolumeViewer(
  at("planes"), [0, 1, 2].map((axis) => at(`place-${axis}`)), at("window-low"), at("window-high"),
);

function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_all, name) => String(values[name]));
}

function put(id, text) {
  at(id).textContent = text;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const either = (names) => names.join(` ${words.or} `);

// ---- asking -------------------------------------------------------------------------

async function ask(path, options = {}) {
  const headers = state.token ? { Authorization: `Bearer ${state.token}` } : {};
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(words.unreachable);
  }
  if (reply.ok) return reply;
  if (reply.status === 401) {
    at("token-form").hidden = false;
    at("token").focus();
    throw new Error(state.token ? words.token_wrong : words.token_needed);
  }
  const told = await reply.json().catch(() => null);
  const cause = told ? told.error.faults.join("; ") : String(reply.status);
  throw Object.assign(new Error(cause), { status: reply.status });
}

function send(path, files, signal) {
  const form = new FormData();
  for (const file of files) form.append("files", file, "scan"); // its name stays here
  return ask(path, { method: "POST", body: form, signal });
}

// ---- a visit ------------------------------------------------------------------------

async function visit(files) {
  if (!files.length) return;
  if (state.stop) state.stop.abort();
  state.stop = new AbortController();
  const { signal } = state.stop;
  Object.assign(state, { files, answer: null, scan: 1 });
  at("answer").hidden = true;
  put("status", words.reading);
  try {
    await view(1, signal);
    put("status", words.answering);
    const same = at("same-person").checked;
    const reply = await send(`/v1/predict?same_person=${same}`, files, signal);
    state.answer = await reply.json();
    tell(state.answer);
    put("status", words.done);
    at("answer").focus();
  } catch (error) {
    if (error.name !== "AbortError") put("status", say("failed", { cause: error.message }));
  }
}

async function view(scan, signal) {
  state.scan = scan;
  for (const id of ["slice", "slice-controls", "volume", "volume-controls", "no-view"]) at(id).hidden = true;
  at("viewer").hidden = false;
  at("explain").hidden = at("opacity-label").hidden = true;
  at("alike").hidden = at("cases").hidden = true;
  put("map-about", "");
  try {
    const reply = await send(`/v1/view?scan=${scan}`, state.files, signal);
    const blob = await reply.blob();
    if (state.scan !== scan) return;
    state.kind = blob.type === "image/png" ? "slice" : "volume";
    if (state.kind === "volume" && !document.createElement("canvas").getContext("webgl2")) {
      throw new Error(words.no_webgl);
    }
    at(state.kind).hidden = at(`${state.kind}-controls`).hidden = false;
    await (state.kind === "slice" ? slices : volumes).show(blob);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (state.scan !== scan) return;
    state.kind = "";
    at("no-view").hidden = false;
    // Why a scan cannot be read, the answer says.
    put("no-view", error.status === 422 ? words.no_view : `${words.no_view} ${error.message}`);
  }
}

async function turnTo(told) {
  tellScan(told);
  try {
    await view(told.scan, state.stop.signal);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return; // other files were dropped meanwhile
  }
  if (state.scan !== told.scan) return; // or another scan was asked for
  offer(told);
  put("status", say("turned_to", { number: told.scan })); // it is read out
  at("viewer").scrollIntoView();
}

async function explain() {
  at("explain").disabled = true;
  put("status", words.explaining);
  const { scan } = state;
  try {
    const reply = await send(`/v1/explain?scan=${scan}`, state.files, state.stop.signal);
    const told = await reply.json();
    if (state.scan !== scan) return; // it belongs on a scan that is no longer shown
    const bytes = Uint8Array.from(atob(told.map), (letter) => letter.charCodeAt(0));
    const blob = new Blob([bytes], { type: told.media_type });
    const opacity = Number(at("opacity").value);
    if (state.kind === "slice") await slices.showMap(blob);
    else await volumes.showMap(blob, opacity);
    at("opacity-label").hidden = false;
    put("map-about", say("map_about", { name: told.class, method: told.method, sentence: told.sentence }));
    put("status", words.map_done);
  } catch (error) {
    if (error.name !== "AbortError") put("status", say("failed", { cause: error.message }));
  } finally {
    at("explain").disabled = false;
  }
}

async function findCases() {
  at("alike").disabled = true;
  put("status", words.cases_finding);
  const { scan } = state;
  try {
    const reply = await send(`/v1/cases?scan=${scan}`, state.files, state.stop.signal);
    const { cases } = await reply.json();
    if (state.scan !== scan) return;
    tellCases(cases);
    put("status", words.cases_done);
  } catch (error) {
    if (error.name !== "AbortError") put("status", say("failed", { cause: error.message }));
  } finally {
    at("alike").disabled = false;
  }
}

function tellCases(cases) {
  const labels = [...new Set(cases.map((told) => told.label))].map((name) => (
    say("cases_labels", { name, number: cases.filter((told) => told.label === name).length })
  ));
  put("cases-about", say("cases_about", { count: cases.length, labels: labels.join(", ") }));
  at("cases-list").replaceChildren(...cases.map((told, place) => {
    const line = element("li", say("case", {
      name: told.label, distance: told.distance.toFixed(3), line: told.line,
    }));
    if (told.picture) {
      const picture = document.createElement("img");
      picture.src = `data:image/png;base64,${told.picture}`;
      picture.alt = say("case_picture", { number: place + 1 });
      line.append(picture);
    } else if (state.model.cases.scans_shown) {
      line.append(element("p", words.case_unread));
    }
    return line;
  }));
  at("cases").hidden = false;
}

// ---- the answer in words ------------------------------------------------------------

function sentence(told, positive, negative) {
  if (!told.probabilities) return words.answer_refused;
  const key = { yes: "answer_yes", no: "answer_no", "not sure": "answer_not_sure" }[told.early];
  return say(key || "answer_none", { positive: either(positive), negative: either(negative) });
}

function tell(answer) {
  tellWeights(answer.results);
  tellScans(answer.results);
  const said = tellScan(answer.results[0]);
  at("answer").hidden = false;
  at("history").hidden = false;
  at("past").append(element("li", say("history_line", { time: new Date().toLocaleTimeString(), answer: said })));
}

// Of a scan: what is said of whoever is on it, if other scans show them too; its own quality.
function tellScan(told) {
  const { model, results, participants } = state.answer;
  const { classes, calibration } = model;
  const negative = classes.filter((name) => !calibration.positive.includes(name));
  const person = participants.find((one) => one.participant === told.participant && one.num_scans > 1);
  const shown = person || told;
  const said = sentence(shown, calibration.positive, negative);
  put("of-scan", results.length > 1 ? say("of_scan", { number: told.scan, count: results.length }) : "");
  put("said", said);
  const more = [];
  if (shown.probabilities) {
    more.push(say("most", { name: shown.predicted, percent: percent(shown.probabilities[shown.predicted]) }));
  }
  const key = told.slice_weights ? "together_weighed" : "together";
  if (person) more.push(say(key, { count: person.num_scans }));
  put("said-more", more.join(" "));
  at("bars").replaceChildren(...classes.map((name) => likely(name, shown.probabilities, classes.length)));
  put("bars-about", say("bars_about", { percent: percent(1 / classes.length) }));
  const { observed } = shown;
  put("observed", observed ? say("observed", {
    count: observed.n_participants, share: percent(observed.share), low: percent(observed.low),
    high: percent(observed.high), positive: either(calibration.positive),
  }) : "");
  tellModel(calibration, shown.set);
  put("quality", words[`quality_${told.quality.verdict}`]);
  at("reasons").replaceChildren(...told.quality.reasons.map((text) => element("li", text)));
  const far = told.distance === null ? words.distance_unknown
    : say("distance", { distance: told.distance.toFixed(2) });
  put("distance", told.probabilities ? far : "");
  at("rows").querySelectorAll("button").forEach((button, place) => {
    button.setAttribute("aria-pressed", String(results[place] === told));
  });
  offer(told);
  return said;
}

function offer(told) {
  at("explain").hidden = !told.probabilities || !state.kind;
  at("alike").hidden = !told.probabilities || !(state.model && state.model.cases);
}

function tellModel(calibration, set) {
  const fitted = calibration.scaling && calibration.scaling.method !== "none";
  put("calibration", fitted
    ? say("calibrated", { method: calibration.scaling.method, count: calibration.n_participants })
    : words.not_calibrated);
  put("set", set ? say("set", { level: percent(calibration.sets.level), names: either(set) || words.none }) : "");
  const scored = state.model && state.model.evaluation;
  const interval = (told) => told.low === null ? told.value.toFixed(2)
    : `${told.value.toFixed(2)} [${told.low.toFixed(2)}, ${told.high.toFixed(2)}]`;
  put("evaluation", scored ? say(scored.part === "out-of-fold" ? "scored_folds" : "scored", {
    count: scored.n_participants, question: scored.question, auroc: interval(scored.auroc),
    floor: scored.floor, floor_auroc: interval(scored.floor_auroc), verdict: scored.verdict,
  }) : words.not_scored);
  const reason = state.model && state.model.allow_leakage;
  put("leak", reason ? say("leaky", { reason }) : "");
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

function likely(name, probabilities, count) {
  if (!probabilities) return bar(`${name}: ${words.none}`, 0, 1 / count);
  return bar(`${name}: ${percent(probabilities[name])}`, probabilities[name], 1 / count);
}

function bar(text, share, even = null) {
  const line = element("li", text);
  const frame = document.createElement("div");
  frame.className = "bar";
  frame.setAttribute("aria-hidden", "true"); // the number stands above it
  const picture = drawn("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" });
  picture.append(drawn("rect", { class: "share", width: 100 * share, height: 10 }));
  if (even !== null) {
    picture.append(drawn("line", { class: "even", x1: 100 * even, x2: 100 * even, y1: 0, y2: 10 }));
  }
  frame.append(picture);
  line.append(frame);
  return line;
}

function tellWeights(results) {
  const weighed = results.filter((told) => told.slice_weights);
  const largest = Math.max(...weighed.flatMap((told) => told.slice_weights));
  at("weights").hidden = !weighed.length;
  at("weights-list").replaceChildren(...weighed.flatMap((told) => told.slice_weights.map((share, place) => {
    const key = told.slice_weights.length > 1 ? "weight_of_slice" : "weight_of_scan";
    return bar(say(key, { scan: told.scan, slice: place + 1, percent: percent(share) }), share / largest);
  })));
}

function tellScans(results) {
  at("scans").hidden = results.length < 2;
  at("rows").replaceChildren(...results.map((told) => {
    const row = document.createElement("tr");
    const button = element("button", say("show", { number: told.scan }));
    button.type = "button";
    button.addEventListener("click", () => turnTo(told));
    const first = document.createElement("td");
    first.append(button);
    row.append(
      first,
      element("td", told.early ? words[told.early] : words.none),
      element("td", told.predicted || words.none),
      element("td", [words[`verdict_${told.quality.verdict}`], ...told.quality.reasons].join(": ")),
    );
    return row;
  }));
}

// ---- files --------------------------------------------------------------------------

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const one of some) found.push(...await filesIn(one));
  }
}

const wanted = (files) => files.filter((file) => file.size && !file.name.startsWith("."));

at("files").addEventListener("change", (event) => visit(wanted([...event.target.files])));
at("folder").addEventListener("change", (event) => visit(wanted([...event.target.files])));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const entry of entries) found.push(...await filesIn(entry));
  visit(wanted(found));
});
at("explain").addEventListener("click", explain);
at("alike").addEventListener("click", findCases);
at("opacity").addEventListener("input", (event) => {
  slices.setOpacity(Number(event.target.value));
  volumes.setOpacity(Number(event.target.value));
});
at("print").addEventListener("click", () => window.print());
at("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(state.answer, null, 2)], { type: "application/json" }));
  link.download = "answer.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

async function meet() {
  try {
    state.model = await (await ask("/v1/model")).json();
    put("model", say("model", {
      identity: state.model.sha256.slice(0, 12), trained: state.model.trained_on,
    }));
  } catch (error) {
    put("status", say("failed", { cause: error.message }));
  }
}

at("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  state.token = at("token").value;
  at("token-form").hidden = true;
  put("status", "");
  await meet();
});
await meet();
document.body.dataset.ready = "true"; // for whoever drives this page
