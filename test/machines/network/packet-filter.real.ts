/**
 * What the packet filter keeps a hostile machine from, each attempt made with and without it. The machines are network
 * namespaces on ports of the bridge that are named like theirs; bridge.real.ts has real ones.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { anyone } from "../../../agent/tftp/requesters.ts";
import { TftpServer } from "../../../agent/tftp/server.ts";
import { silentLog } from "../../../os/log.ts";
import { packageFile } from "../../../os/files/package.ts";
import { ProgramFailure, run } from "../../../os/run.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { readBridge } from "../../../machines/network/bridge.ts";
import { admitMachine, expelMachine } from "../../../machines/network/firewall.ts";
import {
  enterNetworkNamespace,
  hostAddress,
  hostAddress6,
  hostOutsideAddress,
  hostSecondAddress,
  outsideAddress,
  servicePort,
  sh,
  startBridgedHost,
  type BridgedHost,
} from "../../fixtures/network.ts";
import { patienceMs } from "../../fixtures/patience.ts";

interface Machine {
  offset: number;
  mac: string;
  address: string;
  secondAddress: string;
  tftp: TftpServer;
  enter: string[];
}

const resources = new AsyncDisposableStack();
const fixedAddress = "196.254.111.222";
const lanAddress = "10.7.0.99";
let host: BridgedHost;
/** The hostile one, and another. */
let a: Machine;
let b: Machine;
/** Something on the bridge that is no machine. */
let lan: { enter: string[] };

before(async () => {
  await enterNetworkNamespace();
  host = resources.use(await startBridgedHost());
  const { path: directory } = resources.use(await temporaryDirectory("croft-test-filter-"));
  a = await addMachine(directory, 51);
  b = await addMachine(directory, 9852);
  lan = await addPort("lan0", lanAddress, "02:00:00:00:00:99");
  await sh("nft", "add chain ip operator published { type nat hook prerouting priority -100; }");
  await sh("nft", `add rule ip operator published tcp dport 9090 dnat to ${outsideAddress}:80`);
});

after(() => resources.disposeAsync());

beforeEach(admitBoth);

async function admitBoth(): Promise<void> {
  await Promise.all([a, b].map(({ offset }) => expelMachine(offset)));
  await Promise.all([a, b].map(admit));
}

async function addMachine(directory: string, offset: number): Promise<Machine> {
  const address = `10.7.0.${offset % 100}`;
  const mac = `02:00:00:00:00:${offset % 100}`;
  const at = (name: string) => join(directory, `${offset}-${name}`);
  for (const name of ["get", "put"]) await mkdir(at(name));
  await writeFile(join(at("get"), "who"), `${offset}\n`);
  const tftp = await TftpServer.start({
    ...{
      address: hostAddress,
      port: 0,
      readable: at("get"),
      writable: at("put"),
      requesters: anyone,
      uploadMaxBytes: 1_000_000,
    },
    log: silentLog(),
  });
  resources.use(tftp);
  const { enter } = await addPort(`croft${offset}`, address, mac);
  const secondAddress = `10.7.0.${(offset % 100) + 20}`;
  await sh(...enter, "ip", "address", "add", `${secondAddress}/32`, "dev", "eth0");
  return { offset, mac, address, secondAddress, tftp, enter };
}

/** A namespace on a port of the bridge, with a web server in it. */
async function addPort(name: string, address: string, mac: string): Promise<{ enter: string[] }> {
  const { pid, enter } = await host.addNamespace();
  await sh(
    ...["ip", "link", "add", name, "type", "veth"],
    ...["peer", "name", "eth0", "address", mac, "netns", String(pid)],
  );
  await sh("ip", "link", "set", name, "master", "br1", "up");
  const inside = (...argv: string[]) => sh(...enter, "ip", ...argv);
  await inside("address", "add", `${address}/24`, "dev", "eth0");
  await inside("address", "add", `fd07::${address.split(".")[3]}/64`, "dev", "eth0", "nodad");
  await inside("link", "set", "eth0", "up");
  await inside("link", "set", "lo", "up");
  await inside("route", "add", "default", "via", hostAddress);
  const web = spawn(
    "setpriv",
    [
      "--pdeathsig",
      "KILL",
      "--",
      ...enter,
      "busybox",
      "httpd",
      "-f",
      "-p",
      "80",
      "-h",
      host.outsideDirectory,
    ],
    { stdio: "ignore" },
  );
  resources.defer(() => void web.kill("SIGKILL"));
  return { enter };
}

async function admit({ offset, mac, tftp }: Machine): Promise<void> {
  await admitMachine({ bridge: await readBridge("br1"), offset, mac, tftpPort: tftp.port });
}

async function open(): Promise<void> {
  await sh("nft", "delete", "table", "inet", "croft");
  await sh("nft", "delete", "table", "bridge", "croft");
  await lookAgain();
}

/** Has machines look again for neighbours that they could not find. */
async function lookAgain(): Promise<void> {
  for (const { enter } of [a, b]) await sh(...enter, "ip", "neigh", "flush", "all");
}

async function succeeds(...argv: string[]): Promise<boolean> {
  try {
    await sh(...argv);
    return true;
  } catch (error) {
    if (error instanceof ProgramFailure && error.status !== null) return false;
    throw error;
  }
}

type Getter = (from: { enter: string[] }, url: string, ...more: string[]) => Promise<string | undefined>;

/** What a machine gets from an address; undefined if nothing within the time. */
function getter(seconds: number): Getter {
  return async ({ enter }, url, ...more) => {
    const limits = ["--max-time", String(seconds), "--connect-timeout", String(seconds)];
    const argv = [...enter, "curl", "-s", "-g", ...limits, ...more, url];
    const { status, stdout } = await run(argv, { timeoutSeconds: 300, accept: [7, 28, 56] });
    return status === 0 ? stdout.trim() : undefined;
  };
}

/** For what is to be had, however busy this host is. */
const get = getter(20);
/** For what is not. */
const tryGet = getter(1);

/** An attempt that must fail with the packet filter, and succeed without. */
async function onlyWithout(attempt: (get: Getter) => Promise<boolean>): Promise<void> {
  assert.equal(await attempt(tryGet), false, "with the packet filter");
  await open();
  assert.equal(await attempt(get), true, "without the packet filter");
}

const who = (port: number, address = hostAddress) => `tftp://${address}:${port}/who`;

test("a machine reaches its TFTP server, DNS, and the outside", async () => {
  assert.equal(await get(a, who(a.tftp.port)), "51");
  assert.equal(await get(b, who(b.tftp.port)), "9852");
  assert.equal(await get(a, `http://${outsideAddress}/hello`), "hello from outside");
  assert.equal(await get(a, `http://${lanAddress}/hello`), "hello from outside");
  const nslookup = ["busybox", "nslookup", "-type=a", "outside.test", hostAddress];
  assert.match(await sh(...a.enter, ...nslookup), new RegExp(outsideAddress));
  assert.equal(await succeeds(...a.enter, "busybox", "nc", "-w", "2", hostAddress, "53"), true);
});

describe("a machine does not reach", () => {
  const attempts: Record<string, () => string> = {
    "a service at the bridge's address": () => `http://${hostAddress}:${servicePort}/`,
    "a service at another address of the host": () => `http://${hostOutsideAddress}:${servicePort}/`,
    "a service of the host by IPv6": () => `http://[${hostAddress6}]:${servicePort}/`,
    "a container's service that is published at the host's address": () => `http://${hostAddress}:9090/hello`,
    "another machine's TFTP server": () => who(b.tftp.port),
    "anything by IPv6": () => `http://[fd07::99]/hello`,
    "another machine over the bridge": () => `http://${b.address}/hello`,
    "another machine by way of the host": () => `http://${b.secondAddress}/hello`,
  };
  let withFilter: (string | undefined)[];
  let without: (string | undefined)[];
  before(async () => {
    const all = (how: Getter) => Promise.all(Object.values(attempts).map((url) => how(a, url())));
    await sh(...a.enter, "ip", "route", "add", b.secondAddress, "via", hostAddress);
    await admitBoth();
    withFilter = await all(tryGet);
    await open();
    without = await all(get);
    await sh(...a.enter, "ip", "route", "delete", b.secondAddress);
  });
  for (const [index, what] of Object.keys(attempts).entries())
    test(what, () => {
      assert.equal(withFilter[index], undefined);
      assert.match(without[index]!, /^(hello from .*|9852)$/);
    });
});

test("machines are kept apart by the kernel too, should the packet filter be emptied", async () => {
  await open();
  const isolate = (how: string) =>
    Promise.all(
      [a, b].map(({ offset }) =>
        sh("ip", "link", "set", "dev", `croft${offset}`, "type", "bridge_slave", "isolated", how),
      ),
    );
  await isolate("on");
  try {
    assert.equal(await tryGet(a, `http://${b.address}/hello`), undefined);
  } finally {
    await isolate("off");
  }
  await lookAgain();
  assert.equal(await get(a, `http://${b.address}/hello`), "hello from outside");
});

test("a machine that changes its MAC address is not heard", async () => {
  const setMac = (mac: string) => sh(...a.enter, "ip", "link", "set", "eth0", "address", mac);
  await setMac("02:00:00:00:00:77");
  // It needs no answer to know whom to speak to.
  const bridge = await readBridge("br1");
  const neighbour = [
    "neigh",
    "replace",
    hostAddress,
    "lladdr",
    bridge.mac,
    "dev",
    "eth0",
    "nud",
    "permanent",
  ];
  await sh(...a.enter, "ip", ...neighbour);
  try {
    await onlyWithout(async () => {
      let heard = false;
      a.tftp.once("request", () => (heard = true));
      await tryGet(a, who(a.tftp.port)); // the answer goes to the address that is known
      a.tftp.removeAllListeners("request");
      return heard;
    });
  } finally {
    await sh(...a.enter, "ip", "neigh", "delete", hostAddress, "dev", "eth0");
    await setMac(a.mac);
  }
});

for (const [whose, address] of [
  ["that another machine uses", "10.7.0.52"],
  ["of the host", hostSecondAddress],
  ["of another network", "198.51.100.7"],
] as const)
  test(`a machine is not heard from an address ${whose}`, async () => {
    await get(b, who(b.tftp.port)); // it is used
    const heard: string[] = [];
    const onRequest = ({ peer }: { peer: string }) => heard.push(peer.split(":")[0]!);
    await sh("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.br1.rp_filter=0");
    await sh("sysctl", "-qw", "net.ipv4.conf.br1.accept_local=1");
    a.tftp.on("request", onRequest);
    const change = (how: string) => sh(...a.enter, "ip", "address", how, `${address}/32`, "dev", "eth0");
    await change("add");
    try {
      await onlyWithout(async () => {
        await tryGet(a, who(a.tftp.port), "--interface", address); // the answer goes elsewhere
        return heard.includes(address);
      });
    } finally {
      await change("delete");
      a.tftp.off("request", onRequest);
    }
  });

test("a machine cannot draw another one's traffic to itself", async () => {
  assert.equal(await succeeds(...b.enter, "busybox", "ping", "-c", "1", "-W", "2", outsideAddress), true);
  const neighbour = async () => /lladdr (\S+)/.exec(await sh("ip", "neigh", "show", b.address))?.[1];
  assert.equal(await neighbour(), b.mac);
  await onlyWithout(async () => {
    await delay(1100); // the kernel believes no second answer within a second
    const arping = [
      "busybox",
      "arping",
      "-U",
      "-c",
      "2",
      "-w",
      "3",
      "-I",
      "eth0",
      "-s",
      b.address,
      b.address,
    ];
    await sh(...a.enter, "ip", "address", "add", `${b.address}/32`, "dev", "eth0");
    try {
      await succeeds(...a.enter, ...arping);
    } finally {
      await sh(...a.enter, "ip", "address", "delete", `${b.address}/32`, "dev", "eth0");
    }
    return (await neighbour()) === a.mac;
  });
});

test("a machine uses four addresses at a time, and no fifth", async () => {
  const addresses = [61, 62, 63, 64].map((last) => `10.7.0.${last}`);
  const change = (how: string) =>
    Promise.all(
      addresses.map((address) => sh(...a.enter, "ip", "address", how, `${address}/32`, "dev", "eth0")),
    );
  await change("add");
  try {
    assert.equal(await get(a, who(a.tftp.port)), "51");
    const from = (address: string, how = get) => how(a, who(a.tftp.port), "--interface", address);
    for (const address of addresses.slice(0, 3)) assert.equal(await from(address), "51", address);
    assert.equal(await from(addresses[3]!, tryGet), undefined);
    await expelMachine(a.offset);
    await admit(a); // what it used is forgotten with it
    assert.equal(await from(addresses[3]!), "51");
    assert.equal(await get(b, who(b.tftp.port), "--interface", b.address), "9852");
  } finally {
    await change("delete");
  }
});

const udpProgram = [process.execPath, packageFile("test", "fixtures", "udp.ts")];

/** Sends a hostile datagram and one that is always heard; the hostile one may only be heard without the filter. */
async function isHeardOnlyWithout(
  listener: string[],
  port: string,
  send: { hostile: string[]; always: string[] },
): Promise<void> {
  const [program, ...args] = ["setpriv", "--pdeathsig", "KILL", "--", ...listener, ...udpProgram];
  const listening = spawn(program!, [...args, "listen", "0.0.0.0", port]);
  let heard = "";
  listening.stdout.setEncoding("utf8").on("data", (text: string) => (heard += text));
  const until = async (text: string) => {
    for (const end = Date.now() + patienceMs; !heard.includes(text);) {
      assert.ok(Date.now() < end, `no '${text}' in '${heard}'`);
      await delay(20);
    }
  };
  try {
    await until("listening");
    await onlyWithout(async () => {
      await sh(...send.hostile, port, "hostile");
      await sh(...send.always, port, "always");
      await until("always");
      const result = heard.includes("hostile");
      heard = "";
      return result;
    });
  } finally {
    listening.kill("SIGKILL");
  }
}

/** A datagram from a port of a machine to everybody on the bridge. */
const broadcast = ({ enter }: { enter: string[] }, fromPort: string) => [
  ...[...enter, ...udpProgram, "send", "0.0.0.0", fromPort, "10.7.0.255"],
];

test("a machine does not answer as a DHCP server", () =>
  isHeardOnlyWithout(lan.enter, "68", { hostile: broadcast(a, "67"), always: broadcast(a, "6767") }));

test("a machine's broadcasts do not reach the host's services", () =>
  isHeardOnlyWithout([], "9999", { hostile: broadcast(a, "6767"), always: broadcast(lan, "6767") }));

for (const filtering of ["0", "1"])
  test(`the fixed address is a machine's own server (net.bridge.bridge-nf-call-iptables=${filtering})`, async () => {
    await sh("sysctl", "-qw", `net.bridge.bridge-nf-call-iptables=${filtering}`);
    try {
      assert.equal(await get(a, who(69, fixedAddress)), "51");
      assert.equal(await get(b, who(69, fixedAddress)), "9852");
      // Its router may be another.
      await sh(...a.enter, "ip", "route", "replace", "default", "via", lanAddress);
      assert.equal(await get(a, who(69, fixedAddress)), "51");
      await sh(...a.enter, "busybox", "tftp", "-g", "-r", "who", "-l", "/dev/null", fixedAddress);
      // A strict one takes answers from where it asked only.
      await sh(
        ...a.enter,
        "nft",
        "add table ip own; add chain ip own i { type filter hook input priority 0; }",
      );
      await sh(...a.enter, "nft", `add rule ip own i ip saddr ${hostAddress} drop`);
      assert.equal(await get(a, who(69, fixedAddress)), "51");
      await sh(...a.enter, "nft", "delete table ip own");
      await sh(...a.enter, "atftp", "--get", "-r", "who", "-l", "/dev/null", fixedAddress);
      assert.equal(await tryGet(a, `http://${hostAddress}:${servicePort}/`), undefined);
      await open();
      assert.equal(await tryGet(a, who(69, fixedAddress)), undefined);
    } finally {
      await sh(...a.enter, "ip", "route", "replace", "default", "via", hostAddress);
      await sh("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0");
    }
  });

test("a port named like a machine's that nobody has admitted is cut off", async () => {
  await expelMachine(a.offset);
  assert.equal(await tryGet(a, who(a.tftp.port)), undefined);
  await admit(a);
  await lookAgain();
  assert.equal(await get(a, who(a.tftp.port)), "51");
});

test("agents that start and end machines at the same time do not disturb each other", async () => {
  const bridge = await readBridge("br1");
  const offsets = Array.from({ length: 12 }, (_, index) => 101 + index);
  const rules = (offset: number) => ({ bridge, offset, mac: "02:00:00:00:01:01", tftpPort: 30_000 + offset });
  await open();
  await Promise.all(offsets.map((offset) => admitMachine(rules(offset))));
  const all = await sh("nft", "list", "ruleset");
  for (const offset of offsets) {
    assert.match(all, new RegExp(`"croft${offset}" : jump croft${offset}\\b`));
    assert.match(all, new RegExp(`udp dport ${30_000 + offset} accept`));
  }
  // Half of them change their minds, or were killed and start again.
  await Promise.all(
    offsets.map((offset) =>
      offset % 2 === 0 ? expelMachine(offset) : admitMachine({ ...rules(offset), tftpPort: 40_000 }),
    ),
  );
  const half = await sh("nft", "list", "ruleset");
  assert.equal(half.match(/udp dport 40000 accept/g)?.length, 6);
  assert.doesNotMatch(half, /dport 30\d\d\d/);
  await Promise.all(offsets.map((offset) => expelMachine(offset)));
  assert.doesNotMatch(await sh("nft", "list", "ruleset"), /croft\d/);
});
