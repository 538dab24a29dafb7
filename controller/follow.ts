/** Follows a build: its live log as it grows, attempt by attempt, and its state, until it has ended. */
import type { Build } from "./builds/build.ts";
import { ChangeWaiter } from "./builds/noting/changes.ts";
import type { Controller } from "./controller.ts";
import type { Session } from "./builds/session.ts";

/** Where a follower is: everything of earlier sessions, and so many bytes of this one. */
export interface LogPosition {
  session: number;
  offset: number;
}

export type FollowEvent =
  | { kind: "state"; build: Build; session: Session | undefined }
  /** A piece of an attempt's live log; `position` is where it ends. */
  | { kind: "log"; session: Session; bytes: Buffer; position: LogPosition }
  /** Nothing happened for a while. */
  | { kind: "idle" }
  /** The build has ended, and all of its live log was given. */
  | { kind: "end"; build: Build };

const idleMs = 15_000;
/** While changes of other controllers are not heard of: how long one may go unseen. */
const pollMs = 2000;

/** Ends with `end`, or when the signal is aborted. */
export async function* follow(
  controller: Controller,
  id: number,
  from: LogPosition | undefined,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent> {
  using changes = new ChangeWaiter(controller.changes, ["state", "log"], new Set([id]));
  let position = from ?? { session: 0, offset: 0 };
  let shown = "";
  while (!signal.aborted) {
    changes.take(); // before looking, so that nothing is missed
    // The state is read before the log: a build that has ended has no more to say after this look at its log.
    const followed = await controller.followed.look(id);
    if (!followed) return;
    const { build } = followed;
    const sessions = followed.sessions.filter((session) => session.id >= position.session);
    let any = false;
    for (const session of sessions) {
      if (session.id !== position.session) position = { session: session.id, offset: 0 };
      const state = `${build.state} ${build.status} ${session.id} ${session.state}`;
      if (state !== shown) {
        shown = state;
        yield { kind: "state", build, session };
      }
      for (;;) {
        const bytes = await controller.liveLogs.read(session.id, position.offset);
        if (bytes.length === 0 || signal.aborted) break;
        any = true;
        position = { session: session.id, offset: position.offset + bytes.length };
        yield { kind: "log", session, bytes, position };
      }
    }
    if (sessions.length === 0 && shown !== build.state) {
      shown = build.state;
      yield { kind: "state", build, session: undefined };
    }
    if (build.state === "finished" || build.state === "cancelled") {
      yield { kind: "end", build };
      return;
    }
    const waitMs = controller.changes.complete ? idleMs : pollMs;
    if (!any && !(await changes.wait(waitMs, signal))) yield { kind: "idle" };
  }
}
