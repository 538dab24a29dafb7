/** The controller's own TLS: a certificate with its key, read again when somebody has renewed them. */
import { readFileSync } from "node:fs";
import type { Server } from "node:https";
import { createSecureContext } from "node:tls";
import { Failure, reasonOf } from "../os/failure.ts";
import type { Log } from "../os/log.ts";

/** Files in PEM; the certificate with those that vouch for it. */
export interface TlsFiles {
  cert: string;
  key: string;
}

export interface Certificate {
  cert: Buffer;
  key: Buffer;
}

const lookMs = 60_000;

/** @throws {Failure} if one cannot be read, or they do not belong together. */
export function readCertificate(files: TlsFiles): Certificate {
  const read = (kind: string, path: string) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new Failure(`read the ${kind} '${path}'`, reasonOf(error), { cause: error });
    }
  };
  const certificate = { cert: read("certificate", files.cert), key: read("key", files.key) };
  try {
    createSecureContext(certificate);
  } catch (error) {
    throw new Failure(`use the certificate '${files.cert}' with the key '${files.key}'`, reasonOf(error), {
      cause: error,
    });
  }
  return certificate;
}

/**
 * Has a server use what the files hold from now on; disposing of the result ends it. Files that are wrong, such as a key that
 * was renewed before its certificate, change nothing, and the log says so once.
 */
export function renewCertificate(
  server: Pick<Server, "setSecureContext">,
  files: TlsFiles,
  used: Certificate,
  log: Log,
  everyMs = lookMs,
): Disposable {
  let last = used;
  let told = "";
  const timer = setInterval(() => {
    try {
      const found = readCertificate(files);
      told = "";
      if (found.cert.equals(last.cert) && found.key.equals(last.key)) return;
      server.setSecureContext(found);
      last = found;
      log.info({ certificate: files.cert }, "a renewed certificate is used");
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== told) log.warn({ reason }, "the certificate cannot be renewed; the former one is used");
      told = reason;
    }
  }, everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
