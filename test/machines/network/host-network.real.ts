/** The host's side of bridged machines: the interface, what is wrong with a bridge, and what is left of a crash. */
import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Failure } from "../../../os/failure.ts";
import { silentLog } from "../../../os/log.ts";
import { BridgeAddress, readBridge } from "../../../machines/network/bridge.ts";
import { networkState, openHostNetwork, prepareHostNetwork } from "../../../machines/network/host-network.ts";
import { admittingRules } from "../../../machines/network/rules.ts";
import { openTap } from "../../../machines/network/tap-device.ts";
import { commandLineOf } from "../qemu/qemu-guest.ts";
import type { StartOptions } from "../../../machines/virtual-machine.ts";
import {
  enterNetworkNamespace,
  hostAddress,
  hostAddress6,
  hostSecondAddress,
  sh,
  startBridgedHost,
} from "../../fixtures/network.ts";

const choice = { kind: "bridge", bridge: "br1" } as const;
const mac = "52:54:00:00:00:07";
const log = silentLog();
const resources = new AsyncDisposableStack();

before(async () => {
  await enterNetworkNamespace();
  resources.use(await startBridgedHost());
});

after(() => resources.disposeAsync());

interface Link {
  address: string;
  operstate: string;
  flags: string[];
  master?: string;
  linkinfo: { info_data: { type?: string }; info_slave_data?: { isolated?: boolean; guard?: boolean } };
}

async function link(name: string): Promise<Link> {
  return (JSON.parse(await sh("ip", "-json", "-details", "link", "show", "dev", name)) as Link[])[0]!;
}

const rules = () => sh("nft", "list", "ruleset");

test("a machine's interface is a port of the bridge, apart from others; both it and the rules go with the connection", async () => {
  const before = await link("br1");
  const host = await openHostNetwork({ choice, offset: 7, mac, log });
  assert.equal(host.address, hostAddress);
  {
    await using connection = await host.connect(23_407);
    const expected = { kind: "bridge", interfaceName: "croft7", tftpAddress: hostAddress, tftpPort: 23_407 };
    assert.deepEqual(connection.network, expected);
    const made = await link("croft7");
    assert.equal(made.master, "br1");
    assert.equal(made.linkinfo.info_data.type, "tap");
    assert.equal(made.linkinfo.info_slave_data?.isolated, true);
    assert.equal(made.linkinfo.info_slave_data.guard, true);
    assert.equal(made.flags.includes("UP"), true);
    assert.match(await rules(), /udp dport 23407 accept/);
    assert.equal((await link("br1")).address, before.address, "it does not take a port's");
  }
  await assert.rejects(link("croft7"), /does not exist/);
  assert.doesNotMatch(await rules(), /croft7/);
});

test("a connection apart is down, on no bridge, and held by who has it open, until it joins as a machine", async () => {
  const host = await openHostNetwork({ choice, offset: 7, mac, log });
  {
    await using connection = await host.connectApart(23_407);
    const apart = await link("croft7");
    assert.deepEqual([apart.master, apart.flags.includes("UP")], [undefined, false]);
    assert.doesNotMatch(await rules(), /croft7/);
    const held = openTap("croft7");
    await assert.rejects(prepareHostNetwork(choice, 7), /'croft7': a running machine uses it/);
    closeSync(held);
    await connection.join("52:54:00:00:00:08");
    const joined = await link("croft7");
    assert.deepEqual([joined.master, joined.address], ["br1", "fe:54:00:00:00:08"]);
    assert.deepEqual([joined.flags.includes("UP"), joined.linkinfo.info_slave_data?.isolated], [true, true]);
    assert.match(await rules(), /ether saddr != 52:54:00:00:00:08 drop/);
    assert.doesNotMatch(await rules(), new RegExp(mac));
  }
  await assert.rejects(link("croft7"), /does not exist/);
  assert.doesNotMatch(await rules(), /croft7/);
});

test("a bridge with another address by now is not joined, and nothing is left of that", async () => {
  const host = await openHostNetwork({ choice, offset: 7, mac, log });
  await sh("ip", "address", "add", "10.7.1.1/24", "dev", "br1");
  const before = networkState(choice);
  {
    await using connection = await host.connectApart(23_407);
    await sh("ip", "address", "del", `${hostAddress}/24`, "dev", "br1");
    assert.notEqual(networkState(choice), before);
    await assert.rejects(
      connection.join(mac),
      /Cannot use bridge 'br1': its address was 10\.7\.0\.1 and is 10\./,
    );
  }
  await assert.rejects(link("croft7"), /does not exist/);
  assert.doesNotMatch(await rules(), /croft7/);
  await sh("ip", "address", "flush", "dev", "br1", "scope", "global");
  for (const each of [hostAddress, hostSecondAddress])
    await sh("ip", "address", "add", `${each}/24`, "dev", "br1");
  await sh("ip", "address", "add", `${hostAddress6}/64`, "dev", "br1", "nodad");
});

test("a bridge is looked at without a program, as long as the kernel says the same of it", async () => {
  const address = new BridgeAddress();
  const withoutPrograms = async () => {
    const path = process.env["PATH"];
    process.env["PATH"] = "/nowhere";
    try {
      return await address.of("br1").catch(({ message }: Failure) => message);
    } finally {
      process.env["PATH"] = path;
    }
  };
  assert.match(await withoutPrograms(), /no such program/);
  assert.equal(await address.of("br1"), hostAddress);
  assert.equal(await withoutPrograms(), hostAddress);
  await sh("ip", "link", "set", "br1", "down");
  await assert.rejects(address.of("br1"), /it is down/);
  await sh("ip", "link", "set", "br1", "up");
  assert.equal(await address.of("br1"), hostAddress);
  for (const first of [hostSecondAddress, hostAddress]) {
    const second = first === hostAddress ? hostSecondAddress : hostAddress;
    await sh("ip", "address", "del", `${second}/24`, "dev", "br1"); // as the kernel is set, the other one with it
    for (const each of [first, second]) await sh("ip", "address", "replace", `${each}/24`, "dev", "br1");
    assert.equal(await address.of("br1"), first);
  }
  address.forget();
  assert.match(await withoutPrograms(), /no such program/);
});

test("what a crashed agent left is replaced by the next machine of the instance, and removed at its start", async () => {
  const host = await openHostNetwork({ choice, offset: 7, mac, log });
  await host.connect(23_001); // and nobody disposes of it
  {
    await using _ = await host.connect(23_002);
    assert.doesNotMatch(await rules(), /23001/);
    assert.match(await rules(), /udp dport 23002 accept/);
  }
  await host.connect(23_003);
  await prepareHostNetwork(choice, 7);
  await assert.rejects(link("croft7"), /does not exist/);
  assert.doesNotMatch(await rules(), /croft7/);
});

test("a connection that cannot be completed leaves nothing", async () => {
  await sh("ip", "link", "add", "croft8", "type", "veth");
  const host = await openHostNetwork({ choice, offset: 8, mac, log });
  await assert.rejects(host.connect(1), /Cannot remove network interface 'croft8': it is no tap interface/);
  await sh("ip", "link", "delete", "croft8");
  await sh("ip", "link", "add", "br7", "type", "bridge");
  await sh("ip", "address", "add", "10.5.0.1/24", "dev", "br7");
  await sh("ip", "link", "set", "br7", "up");
  const gone = await openHostNetwork({ choice: { kind: "bridge", bridge: "br7" }, offset: 8, mac, log });
  await sh("ip", "link", "delete", "br7"); // the rules are there already when this is seen
  await assert.rejects(gone.connect(1), /Cannot use bridge 'br7': /);
  assert.doesNotMatch(await rules(), /croft8/);
});

test("a bridge that cannot be used is told with the reason", async () => {
  const failure = (name: string) =>
    readBridge(name).then(
      () => undefined,
      (error: unknown) => error as Failure,
    );
  const reason = async (name: string) => (await failure(name))?.message;
  assert.equal(await reason("br1"), undefined);
  assert.equal(await reason("br9"), "Cannot use bridge 'br9': there is no such interface");
  await sh("ip", "link", "add", "br9", "type", "bridge");
  assert.equal(await reason("br9"), "Cannot use bridge 'br9': it is down");
  await sh("ip", "link", "set", "br9", "up");
  assert.match((await reason("br9"))!, /it has no IPv4 address/);
  await sh("ip", "address", "add", "10.9.0.1/24", "dev", "br9");
  assert.equal(await reason("br9"), undefined);
  assert.equal(await reason("up0"), "Cannot use bridge 'up0': it is no bridge but of kind veth");
  const path = process.env["PATH"];
  process.env["PATH"] = "/nonexistent";
  try {
    const found = await failure("br1");
    assert.match(found!.message, /no such program/);
    assert.match(found!.hints.join(), /apt-get install iproute2 nftables/);
  } finally {
    process.env["PATH"] = path;
  }
});

test("networks and routers of the bridge bound what a machine may say", async () => {
  await sh("ip", "link", "add", "br8", "type", "bridge");
  await sh("ip", "link", "set", "br8", "up");
  for (const address of ["10.8.0.1/24", "10.8.1.1/16", "172.30.5.1/20"])
    await sh("ip", "address", "add", address, "dev", "br8");
  await sh("ip", "route", "add", "198.18.0.0/15", "via", "10.8.0.254", "dev", "br8");
  const text = admittingRules({ bridge: await readBridge("br8"), offset: 1, mac, tftpPort: 1 });
  assert.match(text, /^ +ip saddr != \{ 10\.8\.0\.0\/16, 172\.30\.0\.0\/20 \} drop$/m);
  assert.match(text, /^ +arp saddr ip \{ 10\.8\.0\.1, 10\.8\.1\.1, 172\.30\.5\.1, 10\.8\.0\.254 \} drop$/m);
});

test("QEMU gets the interface by name, also through a machine's own options", async () => {
  const options: StartOptions = {
    ...{
      name: "m",
      mac,
      directory: "/nonexistent",
      runtimeDirectory: "/nonexistent",
      cpus: 1,
      ramKiB: 1024,
      log,
    },
    machine: {
      ...{ id: "m-1", name: "m", summary: "a machine", type: "kvm" },
      options: ["-netdev", "tap,id=n,ifname=?,script=no", "-device", "e1000,netdev=n,mac=?"],
    },
    network: { kind: "bridge", interfaceName: "croft7", tftpAddress: hostAddress, tftpPort: 23_407 },
    accel: "tcg",
  };
  const own = (await commandLineOf(options)).join(" ");
  assert.match(own, /tap,id=n,ifname=croft7,script=no -device e1000,netdev=n,mac=52:54:00:00:00:07$/);
  assert.match(own, /name=opt\/croft\/tftp,string=10\.7\.0\.1:23407 {50}/);
});
