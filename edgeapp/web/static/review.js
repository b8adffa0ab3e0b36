// Reviews without loading the page anew, by click and by keyboard.
import { louder, toggle } from "./clip.js";
import { follow, stateOf } from "./events.js";

const said = document.getElementById("said");
const cards = [...document.querySelectorAll(".card")];
let at = cards.length === 1 ? 0 : -1;
let last = [];

async function send(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error([told.error, told.remedy].filter(Boolean).join("; "));
  return told;
}

function tell(text, undoable) {
  const line = document.createElement("div");
  line.className = "said";
  const words = document.createElement("span");
  words.textContent = text;
  line.append(words);
  if (undoable) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Undo";
    button.addEventListener("click", undo);
    line.append(button);
  }
  said.replaceChildren(line);
}

function mark(states) {
  for (const told of states) {
    for (const card of document.querySelectorAll(`.card[data-number="${told.number}"]`)) {
      card.querySelector(".reviewed").replaceChildren(stateOf(told));
    }
  }
}

// After too long an absence: as the server shows them now.
async function markAnew() {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const card of cards) {
    const state = fresh.querySelector(`.card[data-number="${card.dataset.number}"] .reviewed`);
    if (state) card.querySelector(".reviewed").replaceChildren(...state.childNodes);
  }
}

if (cards.length) follow({ review: (told) => mark(told.detections), missed: markAnew });

async function review(numbers, verdict, name, note, reviewer, isNew) {
  const body = { detections: numbers, verdict };
  if (verdict === "corrected") {
    body.name = name;
    body.new = Boolean(isNew);
  }
  if (note) body.note = note;
  if (reviewer) body.reviewer = reviewer;
  try {
    const { reviews, states } = await send("/api/v1/reviews", body);
    last.push(reviews);
    mark(states);
    tell(`${numbers.length > 1 ? `${numbers.length} detections` : `Detection ${numbers[0]}`}: ${verdict}`, true);
    return true;
  } catch (error) {
    tell(`Not saved: ${error.message}`, false);
    return false;
  }
}

async function undo() {
  const done = last.pop();
  if (!done) return;
  try {
    const { states } = await send("/api/v1/reviews/undo", { reviews: done });
    mark(states);
    tell("Undone", false);
  } catch (error) {
    last.push(done);
    tell(`Not undone: ${error.message}`, true);
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.getAttribute("action") !== "/reviews") return;
  event.preventDefault();
  const verdict = event.submitter?.value;
  const fields = new FormData(form);
  const numbers = fields.getAll("detection").map(Number);
  if (!numbers.length) {
    tell("Choose detections first", false);
    return;
  }
  const [name, note, reviewer] = ["name", "note", "reviewer"].map((field) => fields.get(field) ?? "");
  review(numbers, verdict, name, note, reviewer, fields.has("new")).then((done) => {
    if (!done) return;
    if (form.elements.new) form.elements.new.checked = false; // each new name is said to be one
    if (form.id !== "bulk") return;
    for (const box of document.querySelectorAll(".choose input")) box.checked = false;
    form.elements.name.value = "";
    if (form.contains(document.activeElement)) cards[at]?.focus({ preventScroll: true });
  });
});

function go(step) {
  if (!cards.length) return;
  const next = at + step;
  if (next >= cards.length) {
    document.getElementById("next")?.click();
    return;
  }
  cards[at]?.classList.remove("at");
  at = Math.max(0, next);
  const card = cards[at];
  card.classList.add("at");
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "center", behavior: "instant" });
}

const keys = {
  j: () => go(1),
  k: () => go(-1),
  ArrowDown: () => go(1),
  ArrowUp: () => go(-1),
  " ": (card) => card.querySelector(".clip") && toggle(card.querySelector(".clip")),
  c: (card) => decide(card, "confirmed"),
  r: (card) => decide(card, "rejected"),
  e: (card) => correct(card),
  g: (card) => card.querySelector("audio") && louder(card.querySelector("audio"), card.querySelector(".gain")),
  x: (card) => {
    const box = card.querySelector(".choose input");
    if (box) box.checked = !box.checked;
  },
  u: () => undo(),
};

async function decide(card, verdict) {
  if ((await review([Number(card.dataset.number)], verdict)) && cards.length > 1) go(1);
}

function correct(card) {
  const own = card.querySelector('input[name="name"]');
  const input = own ?? document.querySelector('#bulk input[name="name"]');
  if (!input) return;
  if (!own && !document.querySelector(".choose input:checked")) card.querySelector(".choose input").checked = true;
  input.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.matches("button, a, summary, input, audio")) return;
  const action = keys[event.key];
  if (!action || !cards.length) return;
  if (at < 0 && !["j", "k", "ArrowDown", "ArrowUp", "u"].includes(event.key)) return;
  event.preventDefault();
  action(cards[at]);
});
