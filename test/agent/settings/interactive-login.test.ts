import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { test } from "node:test";
import { interactiveLogin } from "../../../agent/settings/interactive-login.ts";

const address = (text: string, family: "IPv4" | "IPv6", internal = false) =>
  ({ address: text, family, internal }) as NetworkInterfaceInfo;
const loopback = [address("127.0.0.1", "IPv4", true), address("::1", "IPv6", true)];

test("a person finds an interactive build at the host's first address and the instance's VNC port", () => {
  const interfaces = { lo: loopback, eth0: [address("fe80::1", "IPv6"), address("192.0.2.7", "IPv4")] };
  assert.equal(interactiveLogin({ interactive: "both", offset: 102 }, interfaces), "192.0.2.7:6002");
});

test("an address is needed only for interactive builds", () => {
  assert.equal(interactiveLogin({ interactive: "false", offset: 1 }, { lo: loopback }), undefined);
  assert.throws(
    () => interactiveLogin({ interactive: "true", offset: 1 }, { lo: loopback }),
    /^Failure: Cannot offer interactive builds: this host has no IPv4 address but its loopback$/,
  );
});
