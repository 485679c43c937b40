// Keys become clicks; everything works without this file, too.
"use strict";

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("textarea, input[type=text]");
  if (typing && event.key === "Escape") {
    event.target.blur();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "e") {
    const correct = document.getElementById("correct");
    if (correct) {
      event.preventDefault();
      correct.open = true;
      const text = correct.querySelector("textarea");
      text.focus();
      text.setSelectionRange(text.value.length, text.value.length); // a person goes on after the text
    }
    return;
  }
  const group = document.querySelector(`[data-cycle="${CSS.escape(key)}"]`);
  if (group) {
    const choices = [...group.querySelectorAll("input")];
    choices[(choices.findIndex((c) => c.checked) + 1) % choices.length].checked = true;
    return;
  }
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (button) {
    event.preventDefault();
    button.click();
  }
});

// A second press while the first is under way would be about an item that nobody has seen.
document.addEventListener("submit", (event) => {
  if (document.body.dataset.sent) event.preventDefault();
  document.body.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => delete document.body.dataset.sent);
