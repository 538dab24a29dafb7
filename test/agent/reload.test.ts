/** A configuration that cannot be used: who gets to know of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Status } from "../../agent/status/status.ts";
import { silentLog } from "../../os/log.ts";
import { unitText } from "../../os/service/service-install.ts";

test("the status has why a configuration was refused, in one line, until one is taken", () => {
  using status = new Status(silentLog(), false);
  const before = status.text;
  status.configurationRefused("Cannot read 'a':\nno key");
  assert.equal(status.text, `${before}; new configuration refused: Cannot read 'a': no key`);
  status.configurationRefused(undefined);
  assert.equal(status.text, before);
});

test("systemctl reload looks at the configuration before the agent is told", () => {
  const [check, tell] = unitText("croft-agent@.service")
    .split("\n")
    .filter((line) => line.startsWith("ExecReload="));
  const started = /^ExecStart=(.*)$/m.exec(unitText("croft-agent@.service"))![1]!;
  assert.equal(check, `ExecReload=/bin/sh -c 'exec "$$@" > /dev/null' sh ${started} --print-config`);
  assert.equal(tell, "ExecReload=/bin/kill -HUP $MAINPID");
});
