/**
 * The key that secrets are encrypted with in the database. It lies in a file outside the data directory, so that neither a
 * backup nor a copy of the database gives them away: 32 random bytes in base64, a line for each key. The first line encrypts;
 * the others still decrypt, until what they have encrypted has been encrypted anew, at the next start.
 *
 * A sealed text is `KEY-ID:BASE64` of nonce, authentication tag and ciphertext (AES-256-GCM). What it is for is
 * authenticated with it: who can write to the database cannot put one secret in the place of another.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { link, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure, isSystemError, reasonOf } from "../../os/failure.ts";
import { syncDirectory, writeDurably } from "../../os/files/durable.ts";
import { randomTail } from "../../os/files/random-tail.ts";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

interface Key {
  id: string;
  bytes: Buffer;
}

/** Where the key is: what the configuration names, else what systemd gives, else beside the data directory. */
export function secretsKeyFile(configured: string | undefined, data: string): string {
  const given = process.env["CREDENTIALS_DIRECTORY"];
  if (configured !== undefined) return configured;
  const name = "croft-secrets-key";
  if (given !== undefined && statSync(join(given, name), { throwIfNoEntry: false })) return join(given, name);
  return `${data}.secrets-key`;
}

/** The keys of a file, which is read when they are needed first. */
export class SecretsKey {
  readonly file: string;
  #keys: readonly Key[] | undefined;

  constructor(file: string) {
    this.file = file;
  }

  /**
   * Makes the file if it is not there.
   *
   * @param isInUse whether something is encrypted already, which another key could not read
   * @throws {Failure} if it cannot be made or read, or others may read it.
   */
  async provide(isInUse: boolean): Promise<void> {
    if (this.#keys) return;
    if (!statSync(this.file, { throwIfNoEntry: false })) {
      if (isInUse)
        throw new Failure(
          `use the secrets' key '${this.file}'`,
          "it is gone, and secrets are encrypted with it",
          {
            hints: ["Put it back, or copy it from another controller of the same database: secrets-key"],
          },
        );
      try {
        await makeOnce(this.file, `${randomBytes(keyBytes).toString("base64")}\n`);
      } catch (error) {
        throw new Failure(`make the secrets' key '${this.file}'`, reasonOf(error), {
          cause: error,
          hints: ["Name a file that the controller may write in its configuration: secrets-key"],
        });
      }
    }
    this.#keys = read(this.file);
  }

  /** Whether a sealed text is to be sealed anew. */
  isOld(sealed: string): boolean {
    return !sealed.startsWith(`${this.#all()[0]!.id}:`);
  }

  /** @param purpose what the text is; it opens for nothing else. */
  seal(text: string, purpose: string): string {
    const { id, bytes } = this.#all()[0]!;
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", bytes, nonce).setAAD(Buffer.from(purpose));
    const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return `${id}:${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64")}`;
  }

  /** @throws {Failure} if it was sealed with another key, or for something else. */
  open(sealed: string, purpose: string): string {
    const [id = "", data = ""] = sealed.split(":", 2);
    const key = this.#all().find((one) => one.id === id);
    if (!key)
      throw new Failure("read a secret", `it is encrypted with another key than those in '${this.file}'`, {
        hints: ["All controllers of a database need the same secrets-key."],
      });
    const bytes = Buffer.from(data, "base64");
    try {
      const decipher = createDecipheriv("aes-256-gcm", key.bytes, bytes.subarray(0, nonceBytes))
        .setAAD(Buffer.from(purpose))
        .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
      const body = bytes.subarray(nonceBytes + tagBytes);
      return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
    } catch (error) {
      throw new Failure("read a secret", "it is not what was written to the database", { cause: error });
    }
  }

  #all(): readonly Key[] {
    return (this.#keys ??= read(this.file));
  }
}

/** Controllers that share the file may make it at once: the first one's is that of all. */
async function makeOnce(file: string, text: string): Promise<void> {
  const own = `${file}-${randomTail()}`;
  try {
    await writeDurably(own, text);
    await link(own, file).catch((error: unknown) => {
      if (!isSystemError(error, "EEXIST")) throw error;
    });
    await syncDirectory(dirname(file));
  } finally {
    await rm(own, { force: true });
  }
}

function read(file: string): Key[] {
  const fail = (reason: string, cause?: unknown) =>
    new Failure(`use the secrets' key '${file}'`, reason, { cause });
  let text: string;
  try {
    // What systemd gives (LoadCredential) it has made readable for the service's user alone, in its own way.
    if ((statSync(file).mode & 0o007) !== 0)
      throw new Failure(`use the secrets' key '${file}'`, "every user of this host may read it", {
        hints: [`chmod 600 ${file}`],
      });
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Failure) throw error;
    const isGone = isSystemError(error, "ENOENT");
    throw fail(isGone ? "there is none: a secret makes it, when it is set" : reasonOf(error), error);
  }
  const keys = text.split("\n").filter((line) => line.trim() !== "");
  if (keys.length === 0) throw fail("it is empty");
  return keys.map((line, index) => {
    const bytes = Buffer.from(line.trim(), "base64");
    if (bytes.length !== keyBytes) throw fail(`line ${index + 1} is no key of ${keyBytes} bytes in base64`);
    return { id: createHash("sha256").update(bytes).digest("hex").slice(0, 8), bytes };
  });
}
