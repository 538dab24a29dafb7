import type { OptionDeclaration } from "../../../os/command-line/options.ts";
import { GiB } from "../../../os/text/size.ts";
import { checkCache } from "../cache-setting.ts";

/** What builds find of earlier ones. */
export const cacheOptions: readonly OptionDeclaration[] = [
  {
    name: "caches",
    kind: "string",
    value: "NAME[=SIZE[:DIR]]",
    repeat: true,
    check: checkCache,
    prose: "a cache that builds are given a clone of, for each repository; at most four",
    details:
      "What a build writes there is thrown away, unless its controller says that it is trusted, and it succeeds. It has SIZE at most for each repository (`2GiB` unless told; KiB, MiB, GiB or TiB), and begins with what is in DIR. Builds find it at `$CROFT_CACHE_NAME`; one that is called `ccache` or `sccache` is used by these programs, where the machine has them.",
  },
  {
    name: "cache-directory",
    kind: "path",
    value: "DIR",
    default: "/build/caches",
    prose: "directory of the caches",
    details: "On btrfs or XFS a clone costs nothing; elsewhere it is a copy.",
  },
  {
    name: "cache-max",
    kind: "integer",
    value: "BYTES",
    default: 20 * GiB,
    minimum: 1,
    prose: "room that all caches may take, in bytes; those that were used the longest ago go first",
  },
];
