/**
 * What a build's page follows, as server-sent events:
 *
 * * `lines`: complete lines, as HTML; its id says where the next one starts, so a broken connection loses none;
 * * `tail`: the line that is being written, in place of the former one;
 * * `attempt`: another attempt begins; its lines follow;
 * * `state`: the page's other parts have changed;
 * * `end`: the build has ended, and nothing follows.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { EventStream } from "../event-stream.ts";
import type { Controller } from "../controller.ts";
import { follow } from "../follow.ts";
import type { Session } from "../builds/session.ts";
import { html } from "./html.ts";
import { LogLines, type LinePosition } from "./log/log-lines.ts";

/** A place in the logs of a build, as the id of an event: `SESSION:OFFSET:LINE:STYLE`. */
export function positionText(session: number, { offset, line, style }: LinePosition): string {
  return `${session}:${offset}:${line}:${style}`;
}

/** Reads {@link positionText}; undefined if it is none. */
function readPosition(text: string): ({ session: number } & LinePosition) | undefined {
  const match = /^(\d{1,10}):(\d{1,15}):(\d{1,12}):([0-9;]{0,60})$/.exec(text);
  if (!match) return undefined;
  return { session: Number(match[1]), offset: Number(match[2]), line: Number(match[3]), style: match[4]! };
}

/** Sends the events until the build has ended or the page is left. */
export async function sendLive(
  controller: Controller,
  id: number,
  from: string,
  stream: EventStream,
): Promise<void> {
  const start = readPosition(from);
  let session = start?.session ?? 0;
  let log = start && new LogLines("", start);
  let first = true;
  const begin = async (next: Session) => {
    const resumes = next.id === session && start !== undefined && first;
    if (next.id === session && !first) return;
    log = new LogLines(`a${next.attempt}`, resumes ? start : undefined);
    if (next.id !== session) {
      const heading = html`<p class="attempt">
        Attempt ${next.attempt} on ${next.machine} at ${next.agent}
      </p>`;
      await stream.send("attempt", { html: heading.text }, positionText(next.id, log.position));
    }
    session = next.id;
    first = false;
  };
  for await (const event of follow(controller, id, start, stream.signal)) {
    if (event.kind === "idle") await stream.ping();
    else if (event.kind === "end") await stream.send("end", {});
    else if (event.kind === "state") {
      if (event.session) await begin(event.session);
      await stream.send("state", { state: event.build.state });
    } else {
      await begin(event.session);
      for (const piece of inPieces(event.bytes)) {
        const lines = log!.write(piece);
        if (lines.text !== "")
          await stream.send("lines", { html: lines.text }, positionText(session, log!.position));
        await turn(); // others have theirs, when all is taken as fast as it is made
        if (stream.signal.aborted) return;
      }
      await stream.send("tail", { html: log!.tail().text });
    }
  }
}

/** Of so many lines at most: each is a hundred bytes of HTML even if it is empty, and one event waits for each slow reader. */
const linesAtOnce = 500;

function* inPieces(bytes: Buffer): Iterable<Buffer> {
  for (let start = 0; start < bytes.length;) {
    let end = start;
    for (let lines = 0; lines < linesAtOnce && end < bytes.length; lines++)
      end = bytes.indexOf(0x0a, end) + 1 || bytes.length;
    yield bytes.subarray(start, end);
    start = end;
  }
}
