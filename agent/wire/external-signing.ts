/** Signing with an external openssl, for keys that do not leave their token. */
import { constants, createPublicKey, publicDecrypt, type KeyObject } from "node:crypto";
import { accessSync, constants as access } from "node:fs";
import { Failure, reasonOf } from "../../os/failure.ts";
import { ProgramFailure, run, type RunResult } from "../../os/run.ts";
import { firstLine } from "../../os/text/lines.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";

/** Tasks are signed for while locks are held; a token takes a second or two. */
const timeoutSeconds = 20;

export interface ExternalProgram {
  program: string;
  /** For the commands that sign; see {@link publicKeyOptions} for the one that prints the public key. */
  options: readonly string[];
}

/** What signs, and the public half of its key. */
export interface ExternalSigning {
  publicKey: KeyObject;
  sign(text: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Commands of the program: `rsautl` is deprecated since OpenSSL 3.0, and before, `pkeyutl` does not do all it does. */
const modern = { sign: ["pkeyutl", "-sign"], publicKey: ["pkey"] };
const old = { sign: ["rsautl", "-sign"], publicKey: ["rsa"] };

/**
 * Opens a key by a program: a file, or a name that the program knows it by, such as a PKCS #11 URI. A text of our
 * own is signed and recovered, so that whatever is wrong comes out now and not with the first task.
 *
 * @throws {Failure} if the program is no OpenSSL, does not find the key, or does not sign with it.
 */
export async function openExternalSigner(
  key: string,
  external: ExternalProgram,
  signal?: AbortSignal,
): Promise<ExternalSigning> {
  const { program, options } = external;
  checkReadable(key, options);
  const call = (action: string, args: readonly string[], input: Uint8Array, stop: AbortSignal | undefined) =>
    callProgram(action, [program, ...args], input, stop);
  const commands = await chooseCommands(program, signal);
  const use = `use the key '${masked(key)}' with '${program}'`;
  const publicArgs = [...commands.publicKey, ...publicKeyOptions(options), "-in", key];
  const printed = await call(use, [...publicArgs, "-pubout", "-outform", "DER"], noInput, signal);
  const publicKey = readPublicKey(use, printed.stdoutBytes);
  const sign = async (text: Uint8Array, stop?: AbortSignal) => {
    const args = [...commands.sign, ...options, "-inkey", key];
    const { stdoutBytes } = await call(`sign with '${program}'`, args, text, stop);
    // A wrong answer would cost us the result: the controller refuses it only then.
    if (!recovers(publicKey, stdoutBytes, text))
      throw new Failure(`sign with '${program}'`, "what it printed is no signature of the text by the key");
    return stdoutBytes;
  };
  await sign(Buffer.from("croft agent"), signal);
  return { publicKey, sign };
}

const noInput = new Uint8Array();

/** OpenSSL's own words on a missing file take some reading. A name that only an engine understands is no file. */
function checkReadable(key: string, options: readonly string[]): void {
  const file = !/^[a-z][a-z0-9+.-]+:/i.test(key) && !options.some((option) => option.startsWith("-keyform"));
  if (!file) return;
  try {
    accessSync(key, access.R_OK);
  } catch (error) {
    throw new Failure(`use the key '${key}'`, reasonOf(error), { cause: error });
  }
}

async function chooseCommands(program: string, signal: AbortSignal | undefined): Promise<typeof modern> {
  const action = `sign with '${program}'`;
  const { stdout } = await callProgram(action, [program, "version"], noInput, signal);
  const [, name, major] = /^(OpenSSL|LibreSSL) (\d+)\.\d/.exec(stdout) ?? [];
  if (name === undefined)
    throw new Failure(
      action,
      `it is no OpenSSL; for its version it prints '${firstLine(stdout).slice(0, 80)}'`,
    );
  return name === "OpenSSL" && Number(major) >= 3 ? modern : old;
}

/** The commands that print a public key say `-inform` where those that sign say `-keyform`, and sign nothing. */
function publicKeyOptions(options: readonly string[]): string[] {
  const result: string[] = [];
  for (let index = 0; index < options.length; index++) {
    const option = options[index]!;
    if (/^--?pkeyopt$/.test(option)) index++;
    else result.push(/^--?keyform$/.test(option) ? "-inform" : option);
  }
  return result;
}

function readPublicKey(action: string, der: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch (error) {
    throw new Failure(action, "it prints no public key for it", { cause: error });
  }
  if (key.asymmetricKeyType !== "rsa")
    throw new Failure(action, `it is no RSA key but ${key.asymmetricKeyType}`);
  return key;
}

function recovers(key: KeyObject, signature: Uint8Array, text: Uint8Array): boolean {
  try {
    return publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature).equals(text);
  } catch {
    return false;
  }
}

async function callProgram(
  action: string,
  argv: readonly string[],
  input: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<RunResult> {
  try {
    return await run(argv, { timeoutSeconds, input, ...withoutUndefined({ signal }) });
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    signal?.throwIfAborted();
    // Neither the arguments nor the cause, which has them: a PIN may be among them.
    const said = masked(whatItSaid(error.output));
    throw new Failure(action, said ? `${error.reason}: ${said}` : error.reason);
  }
}

/** On one line, without the traces of the library's inside unless there is nothing else. */
function whatItSaid(output: string): string {
  const lines = output
    .replace(/[^\t\n\x20-\x7e]/g, "?")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^Engine ".*" set\.$/.test(line));
  const words = lines.filter((line) => !/^[0-9A-F]+:error:/i.test(line));
  return (words.length ? words : lines).join("; ").slice(0, 500);
}

/** Without the secrets that a key's URI or an option may carry. */
function masked(text: string): string {
  return text.replace(/(pin-value=|pass:)[^\s;&'"?]*/g, "$1***");
}
