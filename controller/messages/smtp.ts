/** The key `smtp` of the controller's configuration: the server that takes mail, and how one speaks to it. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import Type, { type Static } from "typebox";
import { isLoopback } from "../../os/network/listen-address.ts";
import { reasonOf } from "../../os/failure.ts";
import { withoutUndefined } from "../../os/without-undefined.ts";
import { readSecretFile } from "../secrets/secret-file.ts";
import { oneOf } from "../one-of.ts";
import { address, path, type Fail, type FailAt } from "./notifications.ts";

/** The server that takes mail. */
export const smtpSchema = Type.Object(
  {
    server: Type.String({ pattern: "^smtps?://[A-Za-z0-9.:\\[\\]-]{1,255}(:[0-9]{1,5})?/?$" }),
    from: address,
    user: Type.Optional(Type.String({ pattern: "^[!-~]{1,200}$" })),
    "password-file": Type.Optional(path),
    tls: Type.Optional(oneOf("required", "possible")),
    "ca-file": Type.Optional(path),
  },
  { additionalProperties: false },
);

/** Where mail goes. */
export interface Smtp {
  readonly host: string;
  readonly port: number;
  /** Whether it speaks TLS from the first byte. */
  readonly isSecure: boolean;
  /** Whether it has to change to TLS before anything is said. */
  readonly needsTls: boolean;
  /** Whether there is no way between them on which somebody could listen: TLS is not tried, as its certificate is often nobody's. */
  readonly needsNoTls: boolean;
  /** Certificates in PEM by which the server's is looked at; absent: those that Node.js brings along. */
  readonly ca?: string;
  readonly from: string;
  readonly user?: string;
  readonly password?: string;
}

/** The server that the configuration names. @throws {Failure} as `fail` makes it, with the place. */
export function readSmtp(declared: Static<typeof smtpSchema>, fail: Fail): Smtp {
  const failAt: FailAt = (key, reason, options) => fail(["smtp", key], reason, options);
  const url = URL.parse(declared.server);
  if (!url?.hostname) throw failAt("server", "that is no URL such as smtps://mail.example.org");
  const { user, "password-file": file, "ca-file": caFile } = declared;
  if ((user === undefined) !== (file === undefined))
    throw failAt("server", "user and password-file go together");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const isSecure = url.protocol === "smtps:";
  const isHere = host === "localhost" || isLoopback(host);
  const port = Number(url.port === "" ? (isSecure ? 465 : isHere ? 25 : 587) : url.port);
  return {
    ...{ host, port, isSecure },
    needsTls: (declared.tls ?? (isHere ? "possible" : "required")) === "required",
    needsNoTls: isHere && declared.tls !== "required" && !isSecure,
    ...withoutUndefined({ ca: caFile && certificatesIn(caFile, failAt) }),
    from: declared.from,
    ...withoutUndefined({
      user,
      password:
        file && readSecretFile(file, (reason, options) => failAt("password-file", reason, options), 1),
    }),
  };
}

/** @throws {Failure} if there are none: nobody's certificate would be good then. */
function certificatesIn(file: string, failAt: FailAt): string {
  try {
    const text = readFileSync(file, "utf8");
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    if (blocks.length === 0) throw new Error(`there is no certificate in '${file}'`);
    for (const block of blocks) new X509Certificate(block);
    return text;
  } catch (error) {
    throw failAt("ca-file", reasonOf(error), { cause: error });
  }
}
