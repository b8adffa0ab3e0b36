"use strict";
// Plays the sound of a box, and moves a cursor through every spectrogram of what is played.
(() => {
  const players = [...document.querySelectorAll("audio[data-r]")];
  const figures = [...document.querySelectorAll(".spectrogram")];
  const value = (element, name) => Number(element.dataset[name]);
  let until = Infinity; // on the clock of the recording: where the stretch that is played ends
  let playing = null;
  let box = null;

  const covering = (recording, time) =>
    players.find((one) => one.dataset.r === recording && value(one, "s") <= time && time < value(one, "e"));

  function start(player, from, to, button) {
    for (const other of players) if (other !== player) other.pause();
    const seek = () => {
      player.currentTime = Math.max(0, from - value(player, "s"));
      until = to;
      mark(button);
      player.play().catch(() => mark(null));
    };
    if (player.readyState > 0) seek();
    else {
      player.addEventListener("loadedmetadata", seek, { once: true });
      player.preload = "auto";
      player.load();
    }
  }

  function mark(button) {
    if (box) box.classList.remove("playing");
    box = button;
    if (box) box.classList.add("playing");
  }

  function show() {
    if (!playing) return;
    const time = value(playing, "s") + playing.currentTime;
    for (const figure of figures) {
      const from = value(figure, "s"), to = value(figure, "e");
      const cursor = figure.querySelector(".cursor");
      cursor.hidden = figure.dataset.r !== playing.dataset.r || time < from || time > to;
      if (!cursor.hidden) cursor.style.left = `${(100 * (time - from)) / (to - from)}%`;
    }
    if (time >= until) {
      until = Infinity;
      mark(null);
      playing.pause();
    }
  }

  function move() {
    show();
    if (playing && !playing.paused) requestAnimationFrame(move);
  }

  for (const player of players) {
    player.addEventListener("play", () => {
      for (const other of players) if (other !== player) other.pause();
      playing = player;
      move();
    });
    player.addEventListener("timeupdate", () => player === playing && show()); // also while the page is hidden
    player.addEventListener("seeking", () => player === playing && show());
    player.addEventListener("ended", () => {
      mark(null);
      const next = covering(player.dataset.r, value(player, "e"));
      if (next && until === Infinity) start(next, value(next, "s"), Infinity, null);
      until = Infinity;
    });
  }

  document.addEventListener("click", (event) => {
    const figure = event.target.closest(".spectrogram");
    const button = event.target.closest("button.box");
    const link = event.target.closest("a.hear");
    if (link) {
      const from = value(link, "s"), to = value(link, "e");
      const player = covering(link.dataset.r, (from + to) / 2);
      if (!player) return;
      event.preventDefault();
      start(player, from, to, null);
    } else if (button) {
      if (button === box && playing && !playing.paused) {
        playing.pause();
        mark(null);
        return;
      }
      const player = covering(figure.dataset.r, value(button, "b"));
      if (player) start(player, Math.max(value(button, "s"), value(player, "s")), value(button, "e"), button);
    } else if (event.target.closest(".plot")) {
      const plot = event.target.closest(".plot").getBoundingClientRect();
      const share = (event.clientX - plot.left) / plot.width;
      const time = value(figure, "s") + share * (value(figure, "e") - value(figure, "s"));
      const player = covering(figure.dataset.r, time);
      if (player) start(player, time, Infinity, null);
    }
  });

  // Whatever a link leads to is opened first; all of it for printing.
  const open = () => {
    for (let one = document.getElementById(location.hash.slice(1)); one; one = one.parentElement)
      if (one.tagName === "DETAILS") one.open = true;
  };
  addEventListener("hashchange", open);
  open();
  document.documentElement.classList.add("scripted");
})();
