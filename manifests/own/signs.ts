/** Signs of life: what an agent shows a controller of all sessions that it holds, and what it is told of them. */
import type { ParseOptions } from "../parse-options.ts";
import { formatSections, Sections } from "../sections.ts";
import { text, word } from "../values.ts";

/** What an agent does about a session: its machine builds; its result is being decided, or is on its way. */
export type SessionPhase = "building" | "deciding" | "delivering";

/** A sign of one session. */
export interface SessionSign {
  session: string;
  phase: SessionPhase;
}

/** A session whose result nobody waits for any more. */
export interface EndedSession {
  session: string;
  /** What became of it: `cancelled`, `superseded`, `finished`, or `unknown`. */
  state: string;
}

/** @throws {ManifestError} */
export function parseSigns(bytes: Uint8Array, options: ParseOptions = {}): SessionSign[] {
  return parseAll(bytes, options, "sign manifest", "phase").map(([session, phase]) => ({
    session,
    phase: phase === "deciding" || phase === "delivering" ? phase : "building", // or what newer agents do
  }));
}

/** @throws {ManifestWriteError} */
export function formatSigns(signs: readonly SessionSign[]): Uint8Array {
  return formatSections(
    signs.map(({ session, phase }) => [
      ["session", session],
      ["phase", phase],
    ]),
  );
}

/** @throws {ManifestError} */
export function parseEndedSessions(bytes: Uint8Array, options: ParseOptions = {}): EndedSession[] {
  return parseAll(bytes, options, "ended session manifest", "state").map(([session, state]) => ({
    session,
    state,
  }));
}

/** @throws {ManifestWriteError} */
export function formatEndedSessions(sessions: readonly EndedSession[]): Uint8Array {
  return formatSections(
    sessions.map(({ session, state }) => [
      ["session", session],
      ["state", state],
    ]),
  );
}

/** The session and one more value of each manifest. */
function parseAll(
  bytes: Uint8Array,
  options: ParseOptions,
  what: string,
  name: string,
): [session: string, value: string][] {
  const sections = new Sections(bytes, options);
  const all: [string, string][] = [];
  do
    all.push(
      sections.take(what, (fields) => [fields.required("session", word), fields.required(name, text)]),
    );
  while (!sections.done);
  return all;
}
