/** Real guests on a bridge: what they reach and what not, and what is left of them. */
import assert from "node:assert/strict";
import { writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { anyone } from "../../../agent/tftp/requesters.ts";
import { TftpServer } from "../../../agent/tftp/server.ts";
import { silentLog } from "../../../os/log.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import {
  openHostNetwork,
  prepareHostNetwork,
  type Connection,
} from "../../../machines/network/host-network.ts";
import {
  enterNetworkNamespace,
  hostAddress,
  hostAddress6,
  servicePort,
  sh,
  startBridgedHost,
} from "../../fixtures/network.ts";
import { minimalMachine } from "../../fixtures/machines/images.ts";
import type { StartOptions } from "../../../machines/virtual-machine.ts";
import { startGuest, type Guest } from "../qemu/qemu-guest.ts";

/** The other guest's task is an interactive one, whose screen people may see from other hosts. */
const screenPort = 5902;
const publicScreen = { display: screenPort - 5900, password: "s3cret-8" };
const choice = { kind: "bridge", bridge: "br1" } as const;
const fixedAddress = "196.254.111.222";
const resources = new AsyncDisposableStack();

before(async () => {
  await minimalMachine(); // made of Debian's packages, if it has to be: not from in there
  await enterNetworkNamespace();
  resources.use(await startBridgedHost());
});

after(() => resources.disposeAsync());

interface BridgedGuest {
  guest: Guest;
  connection: Connection;
  tftp: TftpServer;
  /** Puts a file where the guest reads it. */
  give(name: string, text: string): Promise<void>;
}

/** A guest that has got an address by DHCP, as croft-init does it, and then runs a script. */
async function bridgedGuest(
  stack: AsyncDisposableStack,
  { offset, mac, script }: { offset: number; mac: string; script: string },
  more: Partial<StartOptions> = {},
): Promise<BridgedGuest> {
  const { path: directory } = stack.use(await temporaryDirectory("croft-test-bridge-"));
  for (const name of ["get", "put"]) await mkdir(join(directory, name));
  const give = (name: string, text: string) => writeFile(join(directory, "get", name), `${text}\n`);
  await give("who", String(offset));
  const log = silentLog();
  const host = await openHostNetwork({ choice, offset, mac, log });
  assert.equal(host.address, hostAddress);
  const places = { readable: join(directory, "get"), writable: join(directory, "put") };
  const tftp = stack.use(
    await TftpServer.start({
      address: host.address,
      port: 0,
      ...places,
      requesters: anyone,
      uploadMaxBytes: 1e6,
      log,
    }),
  );
  const connection = stack.use(await host.connect(tftp.port));
  const guest = stack.use(
    await startGuest(`${prelude}${script}`, {
      ...{ network: connection.network, mac, ramKiB: 192 * 1024 },
      ...more,
    }),
  );
  return { guest, connection, tftp, give };
}

const prelude = `
modprobe -q -a virtio_net qemu_fw_cfg af_packet
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
busybox udhcpc -i eth0 -s /sbin/croft-init -q -n -t 20 -T 1 > /dev/null 2>&1
address=$(ip -4 addr show eth0 | sed -n 's/^ *inet \\([0-9.]*\\).*/\\1/p')
echo "address $address" > $log
server=$(tr -d ' \\000\\n' < /sys/firmware/qemu_fw_cfg/by_name/opt/croft/tftp/raw)
echo "server $server" > $log
mac=$(cat /sys/class/net/eth0/address)
forge() {
  ip link set eth0 down
  ip link set eth0 address $1
  ip link set eth0 up
  ip route replace default via ${hostAddress}
}
get() { busybox tftp -g -r "$1" -l /tmp/got "\${2%:*}" "\${2#*:}" > /dev/null 2>&1 && cat /tmp/got; }
fetch() { timeout 3 busybox wget -q -O - "$1" 2> /dev/null; }
screen() { sleep 3 | timeout 5 busybox nc ${hostAddress} "$1" 2> /dev/null | head -n 1 | grep RFB; }
`;

/** The hostile guest's attempts, made each time that its agent gives it a file of the round's name. */
const attempts = `
try() { result=$("$@") || result=no; echo "$round $* = $result" > $log; }
for round in filtered open; do
  until get $round $server > /dev/null; do sleep 0.2; done
  read -r port other < /tmp/got
  ip -6 addr add fd07::51/64 dev eth0
  while ip -6 addr show dev eth0 | grep -q tentative; do sleep 0.2; done
  try get who $server
  try get who ${fixedAddress}:69
  try fetch http://outside.test/hello
  try get who ${hostAddress}:$port
  try fetch http://${hostAddress}:${servicePort}/
  try fetch http://[${hostAddress6}]:${servicePort}/
  try fetch http://$other/who
  try screen ${screenPort}
  forge 52:54:00:00:00:77
  try get who $server
  forge $mac
  echo "$round is over" > $log
done
sleep 1000
`;

/** A guest that others may try to reach. */
const web = "mkdir /tmp/www; echo hello > /tmp/www/who; busybox httpd -p 80 -h /tmp/www; sleep 1000";

test("two guests at a time reach what they may, and not each other nor the host's services", async () => {
  await using stack = new AsyncDisposableStack();
  const macs = ["52:54:00:00:00:01", "52:54:00:00:00:02"] as const;
  const [hostile, other] = await Promise.all([
    bridgedGuest(stack, { offset: 1, mac: macs[0], script: attempts }),
    bridgedGuest(stack, { offset: 2, mac: macs[1], script: web }, { publicScreen }),
  ]);
  await other.guest.untilLogged("server ");
  const address = /^address (10\.7\.0\.\d+)$/m.exec(other.guest.log())?.[1];
  assert.ok(address, other.guest.log());
  const round = async (name: string) => {
    await hostile.give(name, `${other.tftp.port} ${address}`);
    await hostile.guest.untilLogged(`${name} is over`);
    return hostile.guest
      .log()
      .replaceAll("\r", "")
      .split("\n")
      .filter((line) => line.startsWith(`${name} `));
  };
  const results = (name: string, values: string[]) => [
    `${name} get who ${hostAddress}:${hostile.tftp.port} = ${values[0]}`,
    `${name} get who ${fixedAddress}:69 = ${values[1]}`,
    `${name} fetch http://outside.test/hello = ${values[2]}`,
    `${name} get who ${hostAddress}:${other.tftp.port} = ${values[3]}`,
    `${name} fetch http://${hostAddress}:${servicePort}/ = ${values[4]}`,
    `${name} fetch http://[${hostAddress6}]:${servicePort}/ = ${values[5]}`,
    `${name} fetch http://${address}/who = ${values[6]}`,
    `${name} screen ${screenPort} = ${values[7]}`,
    `${name} get who ${hostAddress}:${hostile.tftp.port} = ${values[8]}`,
    `${name} is over`,
  ];
  const outside = "hello from outside";
  assert.deepEqual(
    await round("filtered"),
    results("filtered", ["1", "1", outside, "no", "no", "no", "no", "no", "no"]),
  );
  await assert.rejects(prepareHostNetwork(choice, 1), /'croft1': a running machine uses it/);
  const twin = await openHostNetwork({ choice, offset: 3, mac: macs[1], log: silentLog() });
  await assert.rejects(
    twin.connect(1),
    /another machine there \(croft2\) has the MAC address 52:54:00:00:00:02/,
  );
  // The attempts are possible ones: without the filter they succeed.
  await sh("nft", "delete table inet croft; delete table bridge croft");
  for (const port of ["croft1", "croft2"])
    await sh("ip", "link", "set", "dev", port, "type", "bridge_slave", "isolated", "off");
  const service = "hello from the host";
  assert.deepEqual(
    await round("open"),
    results("open", ["1", "no", outside, "2", service, service, "hello", "RFB 003.008", "1"]),
  );
  await stack.disposeAsync();
  assert.doesNotMatch(await sh("ip", "link"), /croft/);
  assert.doesNotMatch(await sh("nft", "list", "ruleset"), /croft\d/);
});
