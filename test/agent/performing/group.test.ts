/** What follows from auxiliary machines without any: names of variables, shares of memory, who gets a frame. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { prefixOf, readEnvironment } from "../../../agent/performing/group/environment.ts";
import { shareRam } from "../../../agent/settings/auxiliary.ts";
import { GroupSwitch } from "../../../machines/network/group-switch.ts";

test("variables get the capitalized name of their machine before them, without what a variable cannot have", () => {
  assert.deepEqual(["my-sql.8", "8ball", ""].map(prefixOf), ["MY_SQL_8_", "_8BALL_", ""]);
  const lines = readEnvironment("db", Buffer.from("HOST=198.18.0.2\r\n\nURL=a=b c\n"));
  assert.deepEqual(lines, ["DB_HOST=198.18.0.2", "DB_URL=a=b c"]);
  assert.deepEqual(readEnvironment("", Buffer.from("HOST=h")), ["HOST=h"]);
});

test("an environment that is none is refused, and the line told", () => {
  assert.throws(() => readEnvironment("db", Buffer.from("A=b\nrm -rf /\n")), /line 2 is no NAME=VALUE/);
  assert.throws(() => readEnvironment("db", Buffer.from("A=\u001b[2J")), /line 1/);
  assert.throws(() => readEnvironment("db", Buffer.from([0x41, 0x3d, 0xff])), /no UTF-8/);
});

test("memory is shared within what machines say, down to what they need; less is none", () => {
  const [small, large] = [{ ramMaximumKiB: 200_000 }, { ramMinimumKiB: 500_000 }];
  assert.deepEqual(shareRam(2_000_000, 400_000, [{}, small, large]), [400_000, 200_000, 500_000]);
  const tight = shareRam(800_000, 400_000, [{}, small, large])!;
  assert.ok(tight.reduce((sum, each) => sum + each, 0) <= 800_000);
  assert.ok(tight[0]! > 131_072 && tight[0]! < 400_000 && tight[2] === 500_000, String(tight));
  assert.equal(shareRam(499_999, 400_000, [large]), undefined);
});

/** Both ends of a cable. */
function cable(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  for (const other of [1, 0])
    ends.push(
      new Duplex({
        read: () => {},
        write: (chunk, _encoding, done) => {
          ends[other]!.push(chunk);
          done();
        },
      }),
    );
  return ends as [Duplex, Duplex];
}

const frame = (to: string, from: string, text: string) => {
  const bytes = Buffer.concat([
    Buffer.from((to + from).replaceAll(":", ""), "hex"),
    Buffer.from(`\x08\0${text}`),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

test("a frame gets to whom it is for, also in pieces; one in another machine's name gets nowhere", async () => {
  const [a, b, c] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"] as const;
  using cables = new GroupSwitch();
  const [atA, atB, atC] = [a, b, c].map((mac) => {
    const [guest, host] = cable();
    cables.attach(mac, host);
    return guest;
  }) as [Duplex, Duplex, Duplex];
  const gotByC: Buffer[] = [];
  atC.on("data", (chunk: Buffer) => gotByC.push(chunk));
  const forB = frame(b, a, "for b alone");
  atA.write(frame(b, c, "in the name of c"));
  atA.write(forB.subarray(0, 9));
  atA.write(forB.subarray(9));
  const [got] = (await once(atB, "data")) as [Buffer];
  assert.deepEqual(got, forB);
  const toAll = frame("ff:ff:ff:ff:ff:ff", b, "to all");
  const told = once(atC, "data");
  atB.write(toAll);
  await told;
  assert.deepEqual(Buffer.concat(gotByC), toAll);
});
