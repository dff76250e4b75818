// Keeps what changes by itself current: each [data-live] region is fetched anew every [data-every] milliseconds.
// Without this script all works; one loads the page again instead.
"use strict";

(() => {
  const here = document.querySelector("nav [aria-current]");
  if (here) { // not scrollIntoView: the keyboard would begin here, past the way to the content
    const nav = here.closest("nav");
    nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
  }

  const regions = [...document.querySelectorAll("[data-live]")];
  if (!regions.length) return;

  let paused = false;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet live";
  const name = () => { button.textContent = paused ? "Resume updates" : "Pause updates"; };
  button.addEventListener("click", () => { paused = !paused; name(); });
  name();
  document.querySelector("footer").prepend(button);

  const busy = (region) => {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
    return region.contains(document.activeElement) || selecting;
  };

  const follow = (region) => {
    const every = Number(region.dataset.every) || 3000;
    let failures = 0;
    const again = () => setTimeout(look, every * Math.min(2 ** failures, 16));
    const look = async () => {
      if (paused || document.hidden) return again();
      try {
        const answer = await fetch(region.dataset.live, { headers: { Accept: "text/html" }, redirect: "error" });
        if (answer.status === 401) return ended(region);
        if (!answer.ok) throw new Error(String(answer.status));
        const html = await answer.text();
        failures = 0;
        if (!busy(region) && region.dataset.shown !== html) {
          region.innerHTML = html;
          region.dataset.shown = html;
        }
        if (answer.headers.get("Console-Live") === "done" && !busy(region)) {
          button.remove();
          return;
        }
      } catch {
        failures += 1;
      }
      again();
    };
    again();
  };

  const ended = (region) => {
    const words = document.createElement("p");
    words.className = "notice warn";
    words.setAttribute("role", "alert");
    words.textContent = "Your session has ended. Load the page again to sign in.";
    region.prepend(words);
    button.remove();
  };

  regions.forEach(follow);
})();
