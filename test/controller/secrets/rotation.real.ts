/** The key that secrets are encrypted with is exchanged, and comes from systemd where it gives one. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SecretsKey, secretsKeyFile } from "../../../controller/secrets/key.ts";
import { Vault } from "../../../controller/secrets/vault.ts";
import type { OpenController } from "../../../controller/controller.ts";
import { temporaryDirectory } from "../../../os/files/temporary.ts";
import { openFarm } from "../in-process.ts";

describe("the key of the secrets", () => {
  const resources = new AsyncDisposableStack();
  let controller: OpenController;
  let directory = "";
  before(async () => {
    directory = resources.use(await temporaryDirectory("croft-test-key-")).path;
    controller = resources.use(await openFarm("embedded"));
  });
  after(() => resources.disposeAsync());

  const repository = "https://git.example/app.git";
  const [older, newer] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
  const vaultWith = (...keys: string[]) => {
    const file = join(directory, "key");
    writeFileSync(file, `${keys.join("\n")}\n`, { mode: 0o600 });
    return new Vault(controller.database, new SecretsKey(file));
  };
  const handedBy = async (vault: Vault, id: number) => {
    const asking = { id, repository, names: ["TOKEN"], isTrusted: true };
    return Buffer.from(await vault.handOut(asking)).toString();
  };

  test("may be exchanged: both for one start, and then the new one opens everything alone", async () => {
    const what = { name: "app", version: "0", repository, targets: ["*"], priority: 0 };
    const [build] = await controller.builds.submit(what, null);
    const before = vaultWith(older);
    await before.setSecret("TOKEN", "", "correct-horse-battery");
    await before.setCredential({ url: "https://git.example/", user: "bot", password: "pass-word-1234" });
    const handed = await handedBy(before, build!.id);
    assert.match(handed, /correct-horse-battery[^]*pass-word-1234/);
    await assert.rejects(vaultWith(newer).renew(), /Cannot read a secret: it is encrypted with another key/);
    assert.equal(await handedBy(vaultWith(older), build!.id), handed, "a wrong key has spoilt nothing");
    await vaultWith(newer, older).renew();
    const alone = vaultWith(newer);
    assert.equal(await handedBy(alone, build!.id), handed);
    const known = await alone.handedTo(build!.id);
    assert.ok(known.some(({ variables }) => variables["TOKEN"] === "correct-horse-battery"));
    await assert.rejects(handedBy(vaultWith(older), build!.id), /it is encrypted with another key/);
    const stored = await controller.database.query("select * from croft.secrets");
    assert.doesNotMatch(JSON.stringify(stored), /correct-horse/);
  });

  test("is what systemd gives, unless the configuration names another one", () => {
    const given = process.env["CREDENTIALS_DIRECTORY"];
    try {
      process.env["CREDENTIALS_DIRECTORY"] = directory;
      assert.equal(secretsKeyFile(undefined, "/var/lib/farm"), "/var/lib/farm.secrets-key");
      writeFileSync(join(directory, "croft-secrets-key"), `${older}\n`, { mode: 0o440 });
      assert.equal(secretsKeyFile(undefined, "/var/lib/farm"), join(directory, "croft-secrets-key"));
      assert.equal(secretsKeyFile("/etc/key", "/var/lib/farm"), "/etc/key");
    } finally {
      if (given === undefined) delete process.env["CREDENTIALS_DIRECTORY"];
      else process.env["CREDENTIALS_DIRECTORY"] = given;
    }
  });
});
