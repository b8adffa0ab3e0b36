// What every page has: the choice of dark or light, completion of names, players.
import { complete } from "./complete.js";
import { players } from "./clip.js";

const root = document.documentElement;
const button = document.getElementById("theme");

function dark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function label() {
  button.textContent = dark() ? "Light" : "Dark";
}

const kept = localStorage.getItem("theme");
if (kept === "dark" || kept === "light") root.dataset.theme = kept;
button.hidden = false;
label();
button.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  label();
});

complete(document.querySelectorAll("[data-complete]"));
players(document);
