// Follows a run: asks the server of this page how far it is, and fetches the page anew when the run has got further.
"use strict";

const bar = document.getElementById("live");
let version = null;

function clock(seconds) {
  const s = Math.round(seconds);
  const pad = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${pad(s % 60)}` : `${Math.floor(s / 3600)}:${pad(Math.floor((s % 3600) / 60))}:${pad(s % 60)}`;
}

function show(status) {
  const round = status.round ? `round ${status.round}${status.rounds ? ` of ${status.rounds}` : ""}` : "the base model";
  const phase = status.finished ? "finished" : `${round}${status.phase ? `: ${status.phase}` : ""}`;
  const words = status.running || status.finished ? phase : `nobody plays this run now; it stands at ${phase}`;
  bar.querySelector(".phase").textContent = words;
  const progress = bar.querySelector("progress");
  if (status.total) progress.value = Math.min(1, status.done / status.total);
  else progress.removeAttribute("value");
  const figures = [];
  if (status.running && status.total) figures.push(`${status.done} of ${status.total}`);
  if (status.running && status.note) figures.push(status.note);
  if (status.running && status.tokens_per_s) figures.push(`${Math.round(status.tokens_per_s)} tokens/s`);
  if (status.running && status.phase) figures.push(`${clock(status.phase_s)} in this phase`);
  if (status.running && status.left_s !== null) figures.push(`${clock(status.left_s)} left`);
  figures.push(`${clock(status.elapsed_s)} in all`);
  bar.querySelector(".figures").textContent = figures.join(" · ");
  bar.className = status.finished ? "over" : status.running ? "running" : "stale";
}

// New sections take the place of old ones; browsers keep their filters and what is open in them.
async function refresh(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const name of ["header", "nav"]) document.querySelector(name).replaceWith(page.querySelector(name));
  const blocks = (root, name) => [...root.querySelectorAll(`script[data-of="${name}"]`)];
  const texts = (root, name) => blocks(root, name).map((block) => block.textContent).join();
  const main = document.getElementById("main");
  const open = new Set([...main.querySelectorAll("details[open] > summary")].map((s) => s.textContent));
  const old = new Map([...main.children].map((section) => [section.id, section]));
  let last = null;
  for (const section of page.querySelectorAll("main > section")) {
    let current = old.get(section.id);
    old.delete(section.id);
    const name = section.querySelector(".browser")?.dataset.of;
    if (!current || !name || texts(document, name) !== texts(page, name)) {
      for (const s of section.querySelectorAll("details > summary")) s.parentElement.open = open.has(s.textContent);
      if (current) current.replaceWith(section);
      else if (last) last.after(section);
      else main.prepend(section);
      current = section;
      if (name) {
        blocks(document, name).forEach((block) => block.remove());
        blocks(page, name).forEach((block) => document.body.append(block));
        const state = browsers.get(name)?.state;
        browsers.set(name, new Browser(section.querySelector(".browser")));
        browsers.get(name).start(state);
      }
    }
    last = current;
  }
  for (const gone of old.values()) gone.remove();
}

async function poll() {
  try {
    const status = await (await fetch("/status")).json();
    show(status);
    if (version !== null && status.version !== version) {
      const answer = await fetch("/");
      if (!answer.ok) throw new Error(await answer.text());
      const at = window.scrollY;
      await refresh(await answer.text());
      window.scrollTo({ top: at, behavior: "instant" });
    }
    version = status.version;
  } catch (error) {
    bar.className = "stale";
    bar.querySelector(".phase").textContent = "no answer from the server of this page; start it again to go on";
  }
  setTimeout(poll, 2000);
}
poll();
