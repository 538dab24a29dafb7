/** Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */

export interface ServerEvent {
  event: string;
  data: string;
  /** Of this event, or the last one that had an id. */
  id: string;
}

/** The events of a stream of UTF-8 text. */
export async function* readEvents(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let partial = "";
  let id = "";
  let event = "";
  let data: string[] = [];
  for await (const piece of pieces) {
    const lines = (partial + decoder.decode(piece, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    partial = lines.pop()!;
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
        [event, data] = ["", []];
        continue;
      }
      const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
      if (field === "id") id = value;
      if (field === "event") event = value;
      if (field === "data") data.push(value);
    }
  }
}
