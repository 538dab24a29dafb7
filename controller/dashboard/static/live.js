/* Keeps a page up to date. Without it every page still shows all there is, as of when it was loaded. */

const linesKept = 5000;

/* Fetches the page again and puts its changing parts in place of the present ones. */
async function refresh() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML) continue;
    const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    const unfolded = [...part.querySelectorAll("details[open]")].map((one) => one.id);
    part.replaceChildren(...next.childNodes);
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    if (focused) part.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

/*
 * A few refreshes one after the other, then one every 5 seconds as long as changes come: many open pages are not to keep the
 * controller from its builds. There is always one after the last change. A page that nobody sees waits until somebody does.
 */
const atOnce = 3;
const eachMs = 5000;
let allowed = atOnce;
let countedAt = performance.now();
function delayMs() {
  const now = performance.now();
  allowed = Math.min(atOnce, allowed + (now - countedAt) / eachMs) - 1;
  countedAt = now;
  return Math.max(300, -allowed * eachMs);
}

let planned = false;
function refreshSoon() {
  if (planned) return;
  planned = true;
  setTimeout(refreshWhenSeen, delayMs());
}
function refreshWhenSeen() {
  if (document.hidden) return document.addEventListener("visibilitychange", refreshWhenSeen, { once: true });
  planned = false;
  refresh().catch(() => {});
}

function listen(url) {
  const connection = document.getElementById("connection");
  const source = new EventSource(url);
  let broken = false;
  source.addEventListener("open", () => {
    connection.textContent = "";
    if (broken) refreshSoon();
    broken = false;
  });
  source.addEventListener("error", () => {
    broken = true;
    const isRefused = source.readyState === EventSource.CLOSED;
    connection.textContent = isRefused
      ? "Not live: the controller takes no more followers now; reload later"
      : "Connection lost; trying again";
  });
  return source;
}

function followLog(log) {
  const lines = document.getElementById("live-lines");
  const tail = document.getElementById("live-tail");
  const follow = document.getElementById("follow");
  const source = listen(log.dataset.follow);
  const toEnd = () => {
    if (follow.checked) log.scrollTop = log.scrollHeight;
  };
  const add = (markup) => {
    document.getElementById("waiting")?.remove();
    tail.replaceChildren();
    lines.insertAdjacentHTML("beforeend", markup);
    while (lines.childElementCount > linesKept) lines.firstElementChild.remove();
    toEnd();
  };
  source.addEventListener("lines", (event) => add(JSON.parse(event.data).html));
  source.addEventListener("attempt", (event) => add(JSON.parse(event.data).html));
  source.addEventListener("tail", (event) => {
    tail.innerHTML = JSON.parse(event.data).html;
    toEnd();
  });
  source.addEventListener("state", refreshSoon);
  source.addEventListener("end", () => {
    source.close();
    document.getElementById("live-note").textContent = "complete";
    refresh().catch(() => {});
  });
  /* Whoever scrolls up wants to read; whoever scrolls to the end wants to follow. */
  log.addEventListener("wheel", () => noteScroll(), { passive: true });
  log.addEventListener("touchmove", () => noteScroll(), { passive: true });
  log.addEventListener("keydown", () => noteScroll());
  const noteScroll = () =>
    setTimeout(() => {
      follow.checked = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    }, 100);
  follow.addEventListener("change", toEnd);
  toEnd();
}

/* formatDuration is os/text/duration.ts: the controller puts it at the end of this file. */
setInterval(() => {
  for (const one of document.querySelectorAll("[data-since]"))
    one.textContent = formatDuration((Date.now() - Date.parse(one.dataset.since)) / 1000);
}, 1000);

/* A link to a line in a folded log unfolds it. */
function unfoldTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const box = target?.closest("details");
  if (!box) return;
  box.open = true;
  target.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", unfoldTarget);
unfoldTarget();

const log = document.querySelector("[data-follow]");
if (log) followLog(log);
const list = document.querySelector("[data-changes]");
if (list) listen(list.dataset.changes).addEventListener("build", refreshSoon);
