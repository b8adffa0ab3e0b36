// The page of this moment: spectrograms that scroll, windows as they are judged, detections as they come.
import { clean, follow, stateOf } from "./events.js";

const ROWS_SHOWN = 200;
const NEWEST = 20;
const TOUCHING_S = 0.1; // between windows of one detection
const WIDTH = 900;
const HEIGHT = 192;
const root = document.documentElement;
const palette = colours();
const sources = new Map();

for (const item of document.querySelectorAll("#sources .source")) adopt(item);

function adopt(item) {
  const canvas = item.querySelector("canvas");
  if (!canvas) return;
  const drawing = canvas.getContext("2d");
  drawing.fillStyle = "#0c0a14";
  drawing.fillRect(0, 0, WIDTH, HEIGHT);
  sources.set(item.dataset.source, { item, canvas, drawing, stream: 0, next: 0, low: 60, high: 200, marks: [] });
}

// From black over violet and orange to nearly white, even in lightness.
function colours() {
  const stops = [[12, 10, 20], [55, 20, 90], [130, 35, 110], [205, 70, 70], [245, 150, 50], [252, 240, 190]];
  const made = [];
  for (let value = 0; value < 256; value += 1) {
    const at = (value / 255) * (stops.length - 1);
    const from = stops[Math.floor(at)];
    const to = stops[Math.min(stops.length - 1, Math.floor(at) + 1)];
    made.push(from.map((one, channel) => Math.round(one + (to[channel] - one) * (at % 1))));
  }
  return made;
}

function draw(told) {
  const source = sources.get(told.source);
  if (!source) return;
  const bytes = Uint8Array.from(atob(told.columns), (letter) => letter.charCodeAt(0));
  const columns = bytes.length / told.rows;
  if (!columns) return;
  const step = Math.max(1, Math.round((WIDTH * told.column_s) / 60));
  if (source.stream !== told.stream) {
    source.stream = told.stream;
    source.marks = [];
  }
  stretch(source, bytes);
  const { drawing } = source;
  const shift = columns * step;
  drawing.drawImage(source.canvas, -shift, 0);
  const image = drawing.createImageData(shift, HEIGHT);
  for (let column = 0; column < columns; column += 1) {
    for (let y = 0; y < HEIGHT; y += 1) {
      const row = Math.floor(((HEIGHT - 1 - y) * told.rows) / HEIGHT);
      const level = bytes[column * told.rows + row];
      const shade = Math.max(0, Math.min(255, Math.round(((level - source.low) * 255) / (source.high - source.low))));
      for (let wide = 0; wide < step; wide += 1) {
        const pixel = 4 * (y * shift + column * step + wide);
        image.data.set(palette[shade], pixel);
        image.data[pixel + 3] = 255;
      }
    }
  }
  drawing.putImageData(image, WIDTH - shift, 0);
  source.next = told.first + columns;
  source.column_s = told.column_s;
  source.step = step;
  axes(source, told);
  const level = source.item.querySelector(".level");
  level.textContent = told.level_dbfs === null ? "no signal" : `${told.level_dbfs.toFixed(0)} dBFS`;
}

// Noise is dark, and what stands out is bright: follows the levels slowly.
function stretch(source, bytes) {
  const sorted = Uint8Array.from(bytes).sort();
  const low = sorted[Math.floor(0.5 * (sorted.length - 1))];
  const high = Math.max(low + 75, sorted[Math.floor(0.998 * (sorted.length - 1))]);
  source.low += 0.2 * (low - source.low);
  source.high += 0.2 * (high - source.high);
}

function axes(source, told) {
  let legend = source.item.querySelector(".legend");
  if (!legend) {
    legend = document.createElement("p");
    legend.className = "quiet legend";
    source.item.querySelector("canvas").after(legend);
  }
  legend.textContent = `0 to ${(told.high_hz / 1000).toFixed(0)} kHz, the last ${Math.round((WIDTH / source.step) * source.column_s)} s`;
}

function heard(told) {
  const source = sources.get(told.source);
  if (!source) return;
  // The window in the picture: its place follows from the newest column.
  if (source.column_s) {
    const now_s = source.next * source.column_s;
    const x = WIDTH - ((now_s - told.start_s) / source.column_s) * source.step;
    const width = ((told.end_s - told.start_s) / source.column_s) * source.step;
    source.drawing.strokeStyle = told.verdict === "detection" ? "#9df5c0" : "#8a8a9a";
    source.drawing.lineWidth = told.verdict === "detection" ? 2 : 0.5;
    source.drawing.strokeRect(x, 2, width - 1, HEIGHT - 4);
    if (told.verdict === "detection") {
      source.drawing.fillStyle = "#ffffff";
      source.drawing.font = "13px system-ui, sans-serif";
      const called = told.detections.filter((one) => one.verdict === "detection").map(name).join(", ");
      if (called !== source.called || told.start_s > source.calledUntil + 0.1) source.drawing.fillText(called, Math.max(4, x + 4), 16);
      source.called = called;
      source.calledUntil = told.end_s;
    }
  }
  const list = source.item.querySelector(".windows");
  const line = document.createElement("li");
  line.classList.toggle("kept", told.verdict === "detection");
  line.textContent = `${local(told.time).slice(11)}  ${words(told)}`;
  list.prepend(line);
  while (list.children.length > ROWS_SHOWN) list.lastElementChild.remove();
  for (const one of told.detections) if (one.verdict === "detection") goesOn(told, one);
}

function keyOf(source, taxon) {
  return `${source}|${taxon.scientific_name}`;
}

// A detection is shown from its first window on; its document comes when it is over, and takes this place.
function goesOn(told, one) {
  const key = keyOf(told.source, one.taxon);
  const shown = [...document.querySelectorAll("#newest li[data-until]")].find(
    (item) => item.dataset.key === key && told.start_s <= Number(item.dataset.until) + TOUCHING_S && told.end_s >= Number(item.dataset.until),
  );
  if (!shown) {
    const begun = entry({ time: told.time, taxon: one.taxon, confidence: one.confidence }, key);
    begun.className = "going";
    begun.dataset.until = told.end_s;
    return;
  }
  shown.dataset.until = told.end_s;
  const confidence = shown.querySelector(".most");
  if (confidence && one.confidence > Number(confidence.dataset.value)) {
    confidence.dataset.value = one.confidence;
    confidence.textContent = `${(100 * one.confidence).toFixed(0)} %`;
  }
}

// A time as the server writes it, in the zone of the station.
function local(time) {
  const shifted = new Date(Date.parse(time) + 60_000 * Number(root.dataset.offset));
  return shifted.toISOString().slice(0, 19).replace("T", " ");
}

function name(one) {
  return one ? clean(one.taxon.common_name || one.taxon.scientific_name) : "";
}

function words(told) {
  if (told.detections.length) {
    return told.detections
      .map((one) => `${name(one)} ${(100 * one.confidence).toFixed(0)} %${one.verdict === "detection" ? "" : ` (${one.why || one.verdict})`}`)
      .join("; ");
  }
  const likeliest = told.species?.[0];
  const maybe = likeliest ? `; likeliest ${clean(likeliest.common_name || likeliest.scientific_name)} ${(100 * likeliest.confidence).toFixed(0)} %` : "";
  return `${told.why || told.verdict}${maybe}`;
}

function detected(told) {
  const key = keyOf(told.source.device ?? told.source.file, told.taxon);
  for (const item of document.querySelectorAll("#newest li[data-key]")) {
    const at = Date.parse(item.querySelector("time").dateTime);
    const within = at >= Date.parse(told.time) && at <= Date.parse(told.time) + 1000 * (told.end_s - told.start_s);
    if (item.dataset.key === key && within) item.remove();
  }
  entry(told, key);
  const count = document.getElementById("detections");
  if (count) count.textContent = String(Number(count.textContent.replace(/\D/g, "")) + 1);
}

function entry(told, key) {
  const list = document.getElementById("newest");
  list.querySelector(".quiet:only-child")?.remove();
  const item = document.createElement("li");
  item.className = "new";
  item.dataset.key = key;
  const time = document.createElement("a");
  time.className = "time";
  const until = new Date(Date.parse(told.time) + 1000).toISOString();
  time.href = `/detections?${new URLSearchParams({ taxon: told.taxon.scientific_name, since: told.time, until })}`;
  const written = document.createElement("time");
  written.dateTime = told.time;
  written.textContent = local(told.time);
  time.append(written);
  const link = document.createElement("a");
  link.href = `/species/${encodeURIComponent(told.taxon.scientific_name)}`;
  link.textContent = name(told);
  const scientific = document.createElement("bdi");
  scientific.className = "scientific";
  scientific.textContent = told.taxon.common_name ? clean(told.taxon.scientific_name) : "";
  const confidence = document.createElement("span");
  confidence.className = "most";
  confidence.dataset.value = told.confidence;
  confidence.textContent = `${(100 * told.confidence).toFixed(0)} %`;
  const reviewed = document.createElement("span");
  reviewed.className = "reviewed";
  if (told.id) {
    item.dataset.id = told.id;
    reviewed.append(stateOf(told.review ?? {}));
  }
  item.append(time, link, scientific, confidence, reviewed);
  list.prepend(item);
  picture(item, told);
  while (list.children.length > NEWEST) list.lastElementChild.remove();
  return item;
}

// The photo that stands for a taxon, asked for once.
const thumbnails = new Map();

function thumbnail(name) {
  if (!thumbnails.has(name)) {
    const asked = fetch(`/api/v1/pictures?${new URLSearchParams({ taxon: name })}`);
    thumbnails.set(name, asked.then((answer) => (answer.ok ? answer.json() : { thumbnail: null })).catch(() => {
      thumbnails.delete(name);
      return { thumbnail: null };
    }));
  }
  return thumbnails.get(name);
}

async function picture(item, told) {
  const { thumbnail: one } = await thumbnail(told.taxon.scientific_name);
  const link = document.createElement("a");
  link.className = "thumb";
  if (one) {
    link.href = `/species/${encodeURIComponent(told.taxon.scientific_name)}`;
    link.title = clean([one.author ?? "Author unknown", one.licence, one.source].filter(Boolean).join(", "));
    const image = document.createElement("img");
    image.src = `/media/pictures/${one.id}/small`;
    image.width = 56;
    image.height = 42;
    image.alt = clean(`${one.relative ? `Same ${one.relative}: ` : ""}${one.scientific_name}`);
    link.append(image);
    if (one.relative) {
      const relative = document.createElement("span");
      relative.className = "relative";
      relative.textContent = `same ${one.relative}`;
      link.append(relative);
    }
  }
  item.prepend(link);
}

function reviewed(told) {
  for (const one of told.detections) {
    for (const item of document.querySelectorAll("#newest li")) {
      if (item.dataset.number !== String(one.number) && item.dataset.id !== one.id) continue;
      item.querySelector(".reviewed").replaceChildren(stateOf(one));
    }
  }
}

function microphone(told) {
  const source = sources.get(told.source);
  if (!source) {
    if (told.source) microphones();
    return;
  }
  const state = source.item.querySelector(".head .state");
  state.textContent = told.state;
  state.className = `state ${told.state === "hearing" ? "good" : ["silent", "stalled", "lost"].includes(told.state) ? "bad" : told.state.endsWith(" channel") ? "warned" : "none"}`;
  source.item.querySelector(".why").textContent = told.why ?? "";
}

// The sources of now, as the server lists them; those that stay keep their pictures.
async function microphones() {
  const answer = await fetch("/");
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("sources");
  const list = document.getElementById("sources");
  if (!fresh || !list) {
    location.reload();
    return;
  }
  const items = [...fresh.querySelectorAll(".source")].map((item) => sources.get(item.dataset.source)?.item ?? item);
  list.replaceChildren(...items);
  for (const name of [...sources.keys()]) if (!items.includes(sources.get(name).item)) sources.delete(name);
  for (const item of items) if (!sources.has(item.dataset.source)) adopt(item);
}

const handlers = {
  window: heard,
  detection: detected,
  microphone,
  review: reviewed,
  problem: (told) => warn(told.error),
  missed: () => location.reload(),
};
follow(handlers, status);

function warn(text) {
  const trouble = document.getElementById("trouble");
  if (trouble.textContent === text) return;
  trouble.hidden = !text;
  trouble.textContent = text;
}

async function status() {
  const answer = await fetch("/api/v1/status").catch(() => null);
  if (!answer?.ok) {
    warn("The station does not answer.");
    return;
  }
  const told = await answer.json();
  const wrong = told?.journal?.trouble;
  warn(wrong ? `The journal cannot be written: ${wrong}. ${told.journal.waiting} changes wait.` : "");
  const counts = document.getElementById("counts");
  if (counts && told?.windows) counts.textContent = Object.entries(told.windows).map(([verdict, n]) => `${n} ${verdict}`).join(", ") || "none yet";
}

// Every five seconds, and every second as long as something is wrong.
let asked = 0;
setInterval(() => {
  asked += 1;
  if (asked % 5 === 0 || !document.getElementById("trouble").hidden) status();
}, 1000);

let sound = null;

function listenIn() {
  if (document.hidden) {
    sound?.close();
    sound = null;
  } else if (!sound) {
    sound = new EventSource("/api/v1/sound");
    sound.addEventListener("sound", (event) => draw(JSON.parse(event.data)));
  }
}

if (sources.size) {
  document.addEventListener("visibilitychange", listenIn);
  listenIn();
}
