/** A build with PostgreSQL and Redis of Debian's packages in auxiliary machines, which a third machine does not reach */
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createMachine } from "../../../machines/image/create-machine.ts";
import { hostDebianArchitecture } from "../../../machines/image/architectures.ts";
import { openStorage } from "../../../machines/open-storage.ts";
import { packageFile } from "../../../os/files/package.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { silentLog } from "../../../os/log.ts";
import { startFarm } from "../../fixtures/farm.ts";
import { copyTree } from "../../fixtures/machines/ready-machines.ts";
import { patienceSeconds } from "../../fixtures/patience.ts";
import { packSource, script } from "../../worker/sources.ts";

const bin = "/usr/lib/postgresql/15/bin";

/** What makes a service of a machine: its program. */
const auxiliary = (...lines: string[]) =>
  `mkdir -p /etc/croft\ncat > /etc/croft/auxiliary << 'END'\n#!/bin/sh -e\n${lines.join("\n")}\nEND\nchmod 755 /etc/croft/auxiliary\n`;

const asPostgres = (command: string) => `busybox su postgres -c "${bin}/${command}"`;
const options = "-c listen_addresses=* -c unix_socket_directories=/tmp -c jit=off";

/** Packages are only unpacked in a minimal machine: what installing would do is done here. */
const postgresql = `
echo 'postgres:x:900:900::/var/lib/pg:/bin/sh' >> /etc/passwd
echo 'postgres:x:900:' >> /etc/group
mkdir -p /var/lib/pg
busybox chown 900:900 /var/lib/pg
${asPostgres("initdb -D /var/lib/pg/data --locale=C -E UTF8 -A trust")}
echo 'host all all 198.18.0.0/24 trust' >> /var/lib/pg/data/pg_hba.conf
${auxiliary(
  asPostgres(`pg_ctl -D /var/lib/pg/data -w -t 600 -l /tmp/pg.log -o '${options}' start`) +
    " || { cat /tmp/pg.log; exit 1; }",
  'echo PORT=5432 >> "$CROFT_ENVIRONMENT"',
)}`;
const redis = auxiliary(
  "redis-server --protected-mode no --daemonize yes --save '' --dir /tmp",
  'until redis-cli -h "$CROFT_ADDRESS" ping | grep -q PONG; do sleep 0.2; done',
  'echo PORT=6379 >> "$CROFT_ENVIRONMENT"',
);

const machines = [
  { name: "minimal", include: ["postgresql-client-15", "redis-tools"] },
  { name: "debian_12-postgresql", include: ["postgresql-15"], role: "auxiliary", script: postgresql },
  { name: "debian_12-redis", include: ["redis-server"], role: "auxiliary", script: redis },
] as const;

/** Makes a machine; returns its revision. */
async function make(directory: string, { name, ...more }: (typeof machines)[number]): Promise<string> {
  const revision = await createMachine({
    ...{ name, machines: directory, onStep: () => {}, init: packageFile("worker/guest/croft-init") },
    recipe: {
      ...{ kind: "minimal", release: "bookworm", architecture: hostDebianArchitecture(), diskGiB: 2 },
      ...{ summary: name, ...more },
    },
    storage: await openStorage(directory, "directory", silentLog()),
  });
  return revision!;
}

/** Both services are used, and so that nobody else could have answered. */
const using = [
  "echo database at $DATABASE_HOST, store at $STORE_HOST",
  `sql() { ${bin}/psql -h "$DATABASE_HOST" -p "$DATABASE_PORT" -U postgres -Atc "$1"; }`,
  'sql "create table t (n int); insert into t select generate_series(1, 1000)"',
  'echo "sum $(sql "select sum(n) from t") of $(sql "select version()")"',
  'store() { redis-cli -h "$STORE_HOST" -p "$STORE_PORT" "$@"; }',
  "store set word croft && store append word -farm",
  'echo "word $(store get word), $(store info server | grep redis_version)"',
];

test("a build uses both by their variables; a third machine on the host reaches neither", async () => {
  await using directory = await temporaryDirectory("croft-test-services-");
  const made: string[] = [];
  for (const machine of machines) made.push(await make(directory.path, machine));
  await using farm = await startFarm({
    ...{ machine: "minimal", revision: made[0]!, ramKiB: 256 * 1024 },
    controller:
      "retries: 0\ntargets:\n  - name: alone\n  - name: tested\n    auxiliary:\n      database: '*-postgresql'\n      store: '*-redis'\n",
    // Several machines begin at once, on few emulated processors.
    agent: ["--machine-copies", "2", "--startup-timeout", String(patienceSeconds)],
  });
  for (const [index, { name }] of machines.entries()) {
    if (index === 0) continue;
    const home = join(farm.machines, "volume", name);
    await mkdir(home, { recursive: true });
    await copyTree(made[index]!, join(home, `${name}-1.1`));
    await symlink(`${name}-1.1`, join(home, `${name}-1`));
  }
  const submit = async (name: string, target: string, ...lines: string[]) => {
    await packSource(farm.sources, { ".croft/test": script(...lines) }, `${name}-1.0.tar.gz`);
    return await farm.submit({ name, targets: [target] });
  };
  await farm.startAgent(["--auxiliary-ram", String(600 * 1024)]);
  const go = farm.guestUrl("/go");
  const one = await submit("group", "tested", ...using, `until wget -q -O /dev/null ${go}; do sleep 1; done`);
  await farm.logUntil(one, 3 * patienceSeconds, /^word croft-farm, redis_version:\d/m);
  assert.match(await farm.log(one), /^database at 198\.18\.0\.[23], store at 198\.18\.0\.[23]$/m);
  assert.match(await farm.log(one), /^sum 500500 of PostgreSQL 15\./m);
  await farm.startSecondAgent(["--auxiliary-ram", "0"]);
  const stranger = await submit(
    "stranger",
    "alone",
    "for host in 198.18.0.2 198.18.0.3 10.0.2.2 10.0.2.15; do",
    `! ${bin}/psql "host=$host port=5432 user=postgres connect_timeout=5" -c "select 1" || exit 1`,
    '! timeout 5 redis-cli -h "$host" ping || exit 1',
    "done",
    "echo neither answers",
    "env | grep -c -e DATABASE -e STORE || :",
  );
  const other = await farm.ended(stranger, 3 * patienceSeconds);
  assert.equal(other.status, "success", await farm.log(stranger));
  assert.match(await farm.log(stranger), /^neither answers\n0$/m);
  await writeFile(join(farm.sources.directory, "go"), "");
  assert.equal((await farm.ended(one)).status, "success", await farm.log(one));
});
