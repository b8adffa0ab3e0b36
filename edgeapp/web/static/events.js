// Server-sent events. A page that is hidden lets go of its connection, of which a browser has six for a host, and goes on
// after the last event once it is seen again.
const root = document.documentElement;

export function follow(handlers, lost) {
  let source = null;
  let last = root.dataset.event;

  function open() {
    if (source || document.hidden) return;
    source = new EventSource(`/api/v1/events?last_event_id=${encodeURIComponent(last)}`);
    if (lost) source.addEventListener("error", lost);
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (event) => {
        last = event.lastEventId || last;
        handle(JSON.parse(event.data));
      });
    }
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}

// The state of a review, as the server writes it.
export function stateOf(told) {
  const state = document.createElement("span");
  state.className = `state ${told.verdict === "rejected" ? "bad" : told.verdict ? "good" : "none"}`;
  state.textContent = told.verdict || "not reviewed";
  if (told.verdict === "corrected") {
    const name = document.createElement("bdi");
    name.textContent = clean(told.common_name || told.scientific_name);
    state.textContent = "corrected to ";
    state.append(name);
  }
  return state;
}

// The same characters that the server takes out of what it shows.
export function clean(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, "\ufffd");
}
