import { createParser, type EventSourceMessage } from "eventsource-parser";

/** A server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export interface ServerEvent {
  event: string;
  data: string;
  /** Of this event, or the last one that had an id. */
  id: string;
}

/** The events of a stream of UTF-8 text. */
export async function* readEvents(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  const read: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => read.push(event) });
  let lastId = "";
  for await (const piece of pieces) {
    parser.feed(decoder.decode(piece, { stream: true }));
    for (const { event = "message", data, id = lastId } of read.splice(0)) {
      lastId = id;
      yield { event, data, id };
    }
  }
}
