/**
 * What followers of a build look at, read once for all of them, and again only after the build has changed: who follows a
 * build in which nothing happens costs the database nothing.
 */
import type { Build } from "../build.ts";
import type { Builds } from "../builds.ts";
import type { Changes } from "./changes.ts";
import type { Session } from "../session.ts";
import type { Sessions } from "../sessions.ts";

/** A build and the attempts at it. */
export interface FollowedBuild {
  build: Build;
  sessions: readonly Session[];
}

/** Those that nobody looked at for longest are forgotten. */
const kept = 500;

/** The builds that are followed. */
export class FollowedBuilds {
  readonly #builds: Builds;
  readonly #sessions: Sessions;
  readonly #changes: Changes;
  readonly #known = new Map<number, Promise<FollowedBuild | undefined>>();

  constructor(builds: Builds, sessions: Sessions, changes: Changes) {
    this.#builds = builds;
    this.#sessions = sessions;
    this.#changes = changes;
    // As long as the controller; what is being read at this moment may be older than the change, and is forgotten, too.
    changes.subscribe(["state"], (id) => this.#known.delete(id));
    changes.onGap(() => this.#known.clear());
  }

  /** The build as it is now; undefined if there is none. */
  async look(id: number): Promise<FollowedBuild | undefined> {
    const known = this.#known.get(id);
    if (known && this.#changes.complete) {
      this.#known.delete(id); // the last one in the map is the one that was asked for last
      this.#known.set(id, known);
      return await known;
    }
    const reading = this.#read(id);
    this.#known.set(id, reading);
    reading.catch(() => this.#known.delete(id));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= kept) break;
      this.#known.delete(oldest);
    }
    return await reading;
  }

  /** The build is read first: one that has ended has all its attempts. */
  async #read(id: number): Promise<FollowedBuild | undefined> {
    const build = await this.#builds.find(id);
    return build && { build, sessions: await this.#sessions.of(id) };
  }
}
