// The browsers of the page. Texts of models reach the document as text nodes and in no other way.
"use strict";

const ROW = 58; // px, the height of .option in the style sheet
const [TONE, SNIPPET, TITLE, BLOCK, LINE] = [-5, -4, -3, -2, -1]; // places in a row, from its end

async function unpack(block) {
  const raw = atob(block.textContent);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return (await new Response(stream).text()).split("\n");
}

function make(name, classes, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...children); // strings become text nodes
  return made;
}

class Browser {
  constructor(root) {
    this.root = root;
    this.name = root.dataset.of;
    this.facets = JSON.parse(root.dataset.facets);
    const blocks = [...document.querySelectorAll(`script[data-of="${this.name}"]`)];
    this.indexes = blocks.filter((block) => block.dataset.part === "index");
    this.texts = blocks.filter((block) => block.dataset.part === "texts");
    this.lines = new Map(); // number of a block -> promise of its lines
    this.rows = []; // facets..., tone, snippet, title, number of the block, line in it
    this.shown = []; // numbers of rows
    this.chosen = -1; // place in `shown`
    this.turn = 0; // of the filters; an older search gives up
    this.hits = null; // numbers of the rows that hold the searched words; null: nothing is searched
    this.searched = "";
  }

  // What a person has chosen, so that a page that follows a run can keep it.
  get state() {
    if (!this.selects) return null;
    const row = this.rows[this.shown[this.chosen]];
    return { facets: this.selects.map((s) => s.value), query: this.query.value, title: row && row.at(TITLE),
      top: this.list.scrollTop };
  }

  async start(state) {
    const parts = await Promise.all(this.indexes.map(unpack));
    parts.forEach((lines, block) => lines.forEach((line, at) => this.rows.push([...JSON.parse(line), block, at])));
    if (!this.rows.length) {
      this.root.replaceChildren(make("p", "quiet", "There is nothing to show yet."));
      this.root.dataset.ready = "yes";
      return;
    }
    this.build();
    const linked = this.linked();
    if (state) {
      state.facets.forEach((value, i) => {
        if (this.rows.some((row) => row[i] === value)) this.selects[i].append(new Option(value, value, false, true));
      });
      this.query.value = state.query;
    }
    await this.filter(linked || (state && state.title), Boolean(linked));
    if (state && !linked) this.list.scrollTop = state.top;
    if (linked) this.root.closest("section").scrollIntoView();
    this.root.dataset.ready = "yes";
  }

  // The title that the page's address names, `#NAME:TITLE`; null: none of this browser.
  linked() {
    const [name, ...rest] = decodeURIComponent(location.hash.slice(1)).split(":");
    return name === this.name && rest.length ? rest.join(":") : null;
  }

  link(title) {
    return `#${this.name}:${encodeURIComponent(title)}`;
  }

  async visit() {
    const title = this.linked();
    if (title === null || !this.selects) return;
    if (!this.shown.some((id) => this.rows[id].at(TITLE) === title)) this.clear();
    await this.filter(title, true);
    this.root.closest("section").scrollIntoView();
  }

  clear() {
    for (const select of this.selects) select.value = "";
    this.query.value = "";
  }

  build() {
    this.selects = this.facets.map(() => {
      const select = make("select", "");
      select.addEventListener("change", () => this.filter());
      return select;
    });
    this.query = make("input", "");
    this.query.type = "search";
    this.query.placeholder = "a word or phrase";
    let pause;
    this.query.addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(() => this.filter(), 250);
    });
    const clear = make("button", "", "clear all");
    clear.type = "button";
    clear.addEventListener("click", () => {
      this.clear();
      this.filter();
    });
    const filters = make("div", "filters");
    this.facets.forEach((facet, i) => filters.append(make("label", "", facet, this.selects[i])));
    filters.append(make("label", "search", "text", this.query), clear);

    this.count = make("p", "quiet");
    this.count.setAttribute("role", "status");
    this.space = make("div", "space");
    this.list = make("div", "list", this.space);
    this.list.tabIndex = 0;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", `${this.name.replace("_", " ")}: arrow keys choose`);
    this.list.addEventListener("scroll", () => this.draw(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[data-at]");
      if (option) this.choose(Number(option.dataset.at), true);
    });
    this.detail = make("article", "detail");
    this.detail.tabIndex = -1;
    this.detail.setAttribute("aria-label", "the chosen one");
    this.root.replaceChildren(filters, this.count, make("div", "split", this.list, this.detail));
    new ResizeObserver(() => this.draw()).observe(this.list);
  }

  // Shows the rows that fit the filters; opens that of a title, or the first.
  async filter(title, focused) {
    const turn = ++this.turn;
    const words = this.query.value.trim();
    if (words !== this.searched) {
      const hits = words ? await this.search(words, turn) : null;
      if (turn !== this.turn) return;
      this.hits = hits;
      this.searched = words;
    }
    const wanted = this.selects.map((select) => select.value);
    const counts = this.facets.map(() => new Map()); // of each facet's values, under all the other filters
    const found = [];
    this.rows.forEach((row, id) => {
      if (this.hits && !this.hits.has(id)) return;
      const misses = [];
      wanted.forEach((value, column) => {
        if (value && row[column] !== value) misses.push(column);
      });
      if (!misses.length) found.push(id);
      if (misses.length > 1) return;
      const columns = misses.length ? misses : counts.keys();
      for (const column of columns) counts[column].set(row[column], (counts[column].get(row[column]) || 0) + 1);
    });
    counts.forEach((values, column) => this.offer(this.selects[column], values));
    this.shown = found;
    this.count.textContent = `${found.length} of ${this.rows.length}`;
    this.space.style.height = `${found.length * ROW}px`;
    this.list.scrollTop = 0;
    this.chosen = -1;
    this.draw();
    if (!found.length) return this.detail.replaceChildren();
    const place = title == null ? 0 : found.findIndex((id) => this.rows[id].at(TITLE) === title);
    await this.choose(Math.max(0, place), Boolean(focused));
  }

  // The rows whose texts hold the words; compared as both stand in JSON, so that no line has to be parsed.
  async search(words, turn) {
    const sought = JSON.stringify(words).slice(1, -1).toLowerCase();
    const hits = new Set();
    for (let block = 0; block < this.texts.length; block++) {
      this.count.textContent = `searching: ${Math.round((100 * block) / this.texts.length)} %`;
      const lines = await this.block(block);
      if (turn !== this.turn) return null;
      lines.forEach((line, at) => {
        lines.start ??= this.rows.findIndex((row) => row.at(BLOCK) === block);
        if (line.slice(0, line.indexOf("\t")).toLowerCase().includes(sought)) hits.add(lines.start + at);
      });
    }
    return hits;
  }

  offer(select, values) {
    const chosen = select.value;
    const order = new Intl.Collator("en", { numeric: true });
    const names = [...new Set([...values.keys(), ...(chosen ? [chosen] : [])])].sort(order.compare);
    select.replaceChildren(new Option(`all (${values.size})`, ""));
    for (const name of names) select.append(new Option(`${name} (${values.get(name) || 0})`, name, false, name === chosen));
  }

  block(number) {
    if (!this.lines.has(number)) this.lines.set(number, unpack(this.texts[number]));
    return this.lines.get(number);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 4);
    const last = Math.min(this.shown.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + 4);
    const options = [];
    for (let at = first; at < last; at++) {
      const row = this.rows[this.shown[at]];
      const facets = row.slice(0, this.facets.length).filter((facet, i) => facet !== "none" && !this.selects[i].value);
      const told = [...new Set(facets)].join(" · ");
      const option = make("div", "option", make("span", `tone ${row.at(TONE)}`), make("b", "", row.at(SNIPPET)),
        make("small", "", told));
      option.id = `${this.name}-${at}`;
      option.dataset.at = at;
      option.style.top = `${at * ROW}px`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-setsize", this.shown.length);
      option.setAttribute("aria-posinset", at + 1);
      option.setAttribute("aria-selected", at === this.chosen);
      options.push(option);
    }
    this.space.replaceChildren(...options);
    if (this.chosen >= first && this.chosen < last) {
      this.list.setAttribute("aria-activedescendant", `${this.name}-${this.chosen}`);
    } else this.list.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.list.clientHeight / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter") {
      this.detail.focus();
      return;
    }
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.choose(Math.max(0, Math.min(this.shown.length - 1, this.chosen + moves[event.key])), false);
  }

  async choose(at, clicked) {
    if (!this.shown.length) return;
    this.chosen = at;
    const top = at * ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    const over = top + ROW - this.list.clientHeight;
    if (over > this.list.scrollTop) this.list.scrollTop = over;
    this.draw();
    const row = this.rows[this.shown[at]];
    const turn = this.turn;
    const line = (await this.block(row.at(BLOCK)))[row.at(LINE)];
    if (turn !== this.turn || at !== this.chosen) return;
    this.open(row, line);
    if (clicked) history.replaceState(null, "", this.link(row.at(TITLE)));
    if (clicked && this.detail.offsetTop >= this.list.offsetTop + this.list.offsetHeight) {
      this.detail.scrollIntoView({ block: "start" }); // on a narrow screen it lies below the list
    }
  }

  open(row, line) {
    const tab = line.indexOf("\t");
    const texts = JSON.parse(line.slice(0, tab));
    const rows = JSON.parse(line.slice(tab + 1));
    const facts = make("dl", "facts");
    this.facets.forEach((facet, i) => facts.append(make("div", "", make("dt", "", facet), make("dd", "", row[i]))));
    const panes = rows.map((panes) =>
      make("div", "panes", ...panes.map(([name, text, tone, note]) => {
        const shown = make("div", "text", texts[text] || "(nothing)");
        shown.dir = "auto";
        const pane = make("div", `pane ${tone}`, make("h4", "", name), shown);
        if (note >= 0) {
          const said = make("div", "text quiet", texts[note]);
          said.dir = "auto";
          pane.append(said);
        }
        return pane;
      })),
    );
    const link = make("a", "", row.at(TITLE));
    link.href = this.link(row.at(TITLE));
    link.title = "a link to this one";
    this.detail.replaceChildren(make("h3", "", link), facts, ...panes);
    this.detail.scrollTop = 0;
  }
}

const browsers = new Map(); // by name
for (const root of document.querySelectorAll(".browser")) {
  if (typeof DecompressionStream === "undefined") {
    root.replaceChildren(make("p", "", "This browser can't unpack the texts (DecompressionStream); a newer one can."));
  } else {
    const browser = new Browser(root);
    browsers.set(browser.name, browser);
    browser.start();
  }
}
window.addEventListener("hashchange", () => browsers.forEach((browser) => browser.visit()));
