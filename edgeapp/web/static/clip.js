// Players: the cursor in the spectrogram, a click that plays from there, and gain for quiet clips.
const GAINS = [1, 4, 16];
const gains = new WeakMap();
let context = null;

export function players(within) {
  for (const figure of within.querySelectorAll(".clip")) player(figure);
}

function player(figure) {
  const audio = figure.querySelector("audio");
  const cursor = figure.querySelector(".cursor");
  const picture = figure.querySelector("svg");
  const length = Number(figure.dataset.length) || 1;
  const khz = figure.querySelector(".khz");

  const gain = document.createElement("button");
  gain.type = "button";
  gain.className = "gain";
  gain.textContent = "Louder";
  gain.addEventListener("click", () => louder(audio, gain));
  figure.append(gain);

  const image = figure.querySelector("img");
  const told = () => fetch(image.src, { cache: "force-cache" }).then((answer) => {
    if (answer.ok) khz.textContent = `0 to ${Number(answer.headers.get("x-khz")).toFixed(0)} kHz`;
  });
  if (image.complete) told();
  else image.addEventListener("load", told, { once: true });

  let frame = 0;
  const follow = () => {
    const at = (100 * audio.currentTime) / length;
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    if (!audio.paused) frame = requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    figure.classList.add("playing");
    frame = requestAnimationFrame(follow);
  });
  audio.addEventListener("seeked", follow);
  audio.addEventListener("ended", () => {
    cancelAnimationFrame(frame);
    figure.classList.remove("playing");
  });
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    audio.currentTime = (length * (event.clientX - box.left)) / box.width;
    play(audio);
  });
}

// Plays the stretch that was named first, or stops.
export function toggle(figure) {
  const audio = figure.querySelector("audio");
  if (!audio.paused) {
    audio.pause();
    return;
  }
  if (audio.ended || audio.currentTime === 0) audio.currentTime = Math.max(0, Number(figure.dataset.from) - 0.5);
  play(audio);
}

// A stop before the sound was there is no fault.
function play(audio) {
  audio.play().catch((error) => {
    if (error.name !== "AbortError") throw error;
  });
}

export function louder(audio, button) {
  context ??= new AudioContext();
  context.resume();
  let one = gains.get(audio);
  if (!one) {
    const node = context.createGain();
    context.createMediaElementSource(audio).connect(node).connect(context.destination);
    one = { node, step: 0 };
    gains.set(audio, one);
  }
  one.step = (one.step + 1) % GAINS.length;
  one.node.gain.value = GAINS[one.step];
  if (button) button.textContent = one.step ? `Louder ×${GAINS[one.step]}` : "Louder";
}
