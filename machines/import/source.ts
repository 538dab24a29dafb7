/** What an operator says that is to be imported. */
import { UsageFailure } from "../../os/failure.ts";

export type ImageFormat = "qcow2" | "raw";
export type Compression = "xz" | "zst";

/** Where an image is, and what it is: told by its name or by the operator, never by its content, which is a stranger's. */
export interface ImageSource {
  place: { kind: "file"; path: string } | { kind: "url"; url: URL };
  /** Without path, query and password: for messages. */
  name: string;
  format: ImageFormat;
  compression?: Compression;
  /** Hexadecimal digits, in lower case. */
  sha256?: string;
}

/** Endings of a name; an `.img` is either. */
const formats: Record<string, ImageFormat> = { qcow2: "qcow2", raw: "raw" };

/**
 * Understands what is to be imported.
 *
 * @param place a file's name, or an `http:` or `https:` URL.
 * @throws {UsageFailure} if that is not possible.
 */
export function imageSource(
  place: string,
  { format, sha256 }: { format?: ImageFormat; sha256?: string } = {},
): ImageSource {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(place) ? parseUrl(place) : undefined;
  const action = `import image '${url ? nameOf(url.pathname) : nameOf(place)}'`;
  if (url && !["http:", "https:"].includes(url.protocol))
    throw new UsageFailure(action, `'${url.protocol}' is none of file names, http: and https:`);
  if (url?.protocol === "http:" && sha256 === undefined)
    throw new UsageFailure(action, "over http: anybody on the way can exchange it", {
      hints: ["Give its checksum with --sha256, or use https:."],
    });
  const name = nameOf(url ? decoded(url.pathname) : place);
  const [, stem = name, ending] = /^(.*)\.(xz|zst)$/.exec(name) ?? [];
  const known = format ?? formats[/\.([a-z0-9]+)$/i.exec(stem)?.[1]?.toLowerCase() ?? ""];
  if (known === undefined)
    throw new UsageFailure(action, "its name does not say what it is", {
      hints: ["Say --format qcow2 or --format raw; an image says nothing here that is believed."],
    });
  return {
    place: url ? { kind: "url", url } : { kind: "file", path: place },
    ...{ name, format: known },
    ...(ending !== undefined && { compression: ending as Compression }),
    ...(sha256 !== undefined && { sha256: sha256.toLowerCase() }),
  };
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url) throw new UsageFailure(`import image '${text}'`, "it is no URL");
  return url;
}

function nameOf(path: string): string {
  return path.replace(/\/+$/, "").replace(/^.*\//, "") || path;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
