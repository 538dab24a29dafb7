/** What a boss must never send. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { makeSourceHistory } from "../../fixtures/source-history.ts";
import { transcripts } from "../transcripts.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Mulberry32: the same numbers for the same seed. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const lines = 1500;
/** Commands that build, or end the session, are tested elsewhere; here they would keep it from reading on. */
const mayEnd = /"quit"|"setup"|"build_prepare"|"build_boards"/;

describe("a worker that is sent garbage", () => {
  for (const seed of [1, 20261122])
    it(`answers each line with an error at most, and goes on (seed ${seed})`, async () => {
      const random = randomNumbers(seed);
      await using place = await temporaryDirectory("croft-test-");
      const { commits } = makeSourceHistory(join(place.path, "source"), { a: {} }, [{}]);
      await using worker = new WorkerProcess({ workDir: join(place.path, "source") });
      await worker.expect("ready");
      const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
      const sent = [...transcripts().values()].flatMap((all) => all.filter(({ from }) => from === "boss"));
      const values = [null, -1, 0.5, 1e99, "", "x", "\0", "../..", [], {}, [null], [[]], { a: 1 }, true];
      const wrongTypes = (text: string): string => {
        try {
          const command = JSON.parse(text) as Record<string, unknown>;
          command[pick([...Object.keys(command), "commits", "boards", "settings", "board"])] = pick(values);
          return JSON.stringify(command);
        } catch {
          return text;
        }
      };
      const mutate = (text: string): string => {
        const bytes = Buffer.from(text);
        for (let n = random(4); n >= 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(256);
        return bytes.toString("latin1").replaceAll("\n", " ");
      };
      const strange = [
        () => mutate(pick(sent).text),
        () => wrongTypes(pick(sent).text),
        () => pick(sent).text.slice(0, random(200)),
        () => "[".repeat(random(20_000)),
        () =>
          JSON.stringify({ cmd: pick(["__proto__", "constructor", "toString", "x".repeat(random(1000))]) }),
        () => Array.from({ length: random(50) }, () => String.fromCharCode(random(0x2000))).join("").replaceAll("\n", ""), // prettier-ignore
      ];
      let bytes = 0;
      for (let count = 0; count < lines;) {
        const line = pick(strange)();
        if (mayEnd.test(line)) continue;
        bytes += Buffer.byteLength(line);
        worker.send(line);
        count++;
      }
      assert.ok(bytes > 300_000, String(bytes));
      worker.send({ cmd: "configure", settings: {}, toolchains: {} });
      worker.send({ cmd: "build_prepare", commits });
      const answers = await worker.until("build_prepare_done");
      const kinds = new Set(answers.map(({ resp }) => resp));
      for (const kind of ["build_started", "worktree_created", "build_prepare_done"] as const)
        kinds.delete(kind);
      assert.deepEqual([...kinds].sort(), ["build_done", "configure_done", "error"]);
      worker.send({ cmd: "build_board", board: "a" });
      worker.send({ cmd: "build_done" });
      assert.equal((await worker.results())[0]!.return_code, 0);
      assert.equal(worker.errors, "");
    });

  it("refuses a line that is longer than any command, and goes on", async () => {
    await using worker = new WorkerProcess();
    await worker.expect("ready");
    worker.send(`{"cmd":"configure","settings":{"x":"${"x".repeat(50_000_000)}"}}`);
    await worker.expect("configure_done");
    worker.send("y".repeat(65 * 1024 * 1024));
    assert.match((await worker.expect("error")).msg, /^invalid JSON: the line is \d+ bytes longer than/);
    worker.send({ cmd: "quit" });
    await worker.expect("quit_ack");
    assert.equal(await worker.exited, 0);
  });
});
