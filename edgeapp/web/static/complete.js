// Completion of names over the gallery, in every language.
const WAIT_MS = 120;

export function complete(inputs) {
  for (const input of inputs) {
    let timer = 0;
    let asked = "";
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const text = input.value.trim();
        if (text.length < 2 || text === asked) return;
        asked = text;
        const answer = await fetch(`/api/v1/names?q=${encodeURIComponent(text)}`);
        if (!answer.ok || asked !== text) return;
        const { names } = await answer.json();
        const list = document.getElementById("names");
        list.replaceChildren(...names.map(option));
      }, WAIT_MS);
    });
  }
}

function option(one) {
  const made = document.createElement("option");
  made.value = one.scientific_name;
  made.label = one.common_name ? `${one.common_name} (${one.scientific_name})` : one.scientific_name;
  return made;
}
