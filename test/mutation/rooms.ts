/** What is mutated together, and the unit tests that are to notice. */
export interface Room {
  /** Files, or folders with all that is in them. */
  readonly sources: readonly string[];
  /** Test files, or folders with all `*.test.ts` in them. */
  readonly tests: readonly string[];
}

export const rooms: Readonly<Record<string, Room>> = {
  "agent-results": {
    sources: ["agent/results"],
    // Those of performing, too, come this way, but slowly: what is promised here is to be shown here.
    tests: ["test/agent/results", "test/durability/spool.test.ts"],
  },
  "agent-asking": { sources: ["agent/asking"], tests: ["test/agent/asking", "test/agent/next-work.test.ts"] },
  "machines-locks": {
    sources: [
      "machines/locks.ts",
      "machines/toolchain-lock.ts",
      "machines/remove.ts",
      "machines/enumeration",
      "os/files/flock.ts",
    ],
    tests: [
      "test/machines/locks.test.ts",
      "test/machines/remove.test.ts",
      "test/machines/enumeration",
      "test/os/files/flock.test.ts",
    ],
  },
  "controller-builds": {
    sources: ["controller/builds"],
    tests: ["test/controller"],
  },
  "boss-dispatch": { sources: ["boss/dispatch"], tests: ["test/boss/dispatch"] },
  manifests: {
    sources: ["manifests"],
    // Without those of the command, which start processes.
    tests: [
      "characters",
      "portable-task",
      "reading",
      "sanitize",
      "typed",
      "vectors",
      "version",
      "writing",
    ].map((name) => `test/manifests/${name}.test.ts`),
  },
};
